"""Rows out of a CSV file, strictly: a row that hasn't the header's shape is broken, never cut or filled up.

After a broken row reading goes on at the next line of the file, so that a quote that nothing closes costs its own line and
swallows none of the following.
"""

import csv
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from schemas.prompt import LeftOut
from stages.prompts.text_lines import LONGEST_LINE, open_lines

MALFORMED = "malformed"
RECORD_LINES = 1000  # of one row: beyond, its quote is taken for one that nothing closes

Record = tuple[int, list[str] | LeftOut]


def header(path: Path) -> list[str]:
    """The names of the columns; none for an empty file or a header that is broken."""
    with open_lines(path, "") as lines:
        cells = next(_records(lines, delimiter(path)), (1, []))[1]
    return [] if isinstance(cells, LeftOut) else [name.strip() for name in cells]


def delimiter(path: Path) -> str:
    """Comma, or what the header has more of: spreadsheets of many countries write semicolons."""
    with open_lines(path) as lines:
        first = next(lines, "")
    return max(",;\t", key=first.count)


def records(path: Path) -> Iterator[Record]:
    """The line on which each row begins (from 1), and its cells, as many as the header has; or why it is broken."""
    names = header(path)
    with open_lines(path, "") as lines:
        rows = _records(lines, delimiter(path))
        next(rows, None)
        for line, cells in rows:
            if isinstance(cells, LeftOut) or len(cells) == len(names):
                yield line, cells
            elif cells:  # (an empty line is no row)
                counted = f"{len(cells)} cells, the header has {len(names)}"
                hint = " (a text with a comma belongs in double quotes)" if len(cells) > len(names) else ""
                yield line, LeftOut(MALFORMED, counted + hint)


def _records(lines: Iterator[str], separator: str) -> Iterator[Record]:
    """Rows of any shape."""
    source = _Lines(lines)
    reader = csv.reader(source, delimiter=separator, strict=True)
    while True:
        source.taken.clear()
        try:
            cells = _next(reader)
        except csv.Error as error:
            yield source.line, LeftOut(MALFORMED, _explained(str(error)))
            source.put_back()
            reader = csv.reader(source, delimiter=separator, strict=True)
            continue
        if cells is None:
            return
        yield source.line, cells
        source.line += len(source.taken)


def _next(reader: Iterator[list[str]]) -> list[str] | None:
    usual = csv.field_size_limit(LONGEST_LINE)  # of the whole process, so it is put back
    try:
        return next(reader, None)
    finally:
        csv.field_size_limit(usual)


def _explained(error: str) -> str:
    if "unexpected end" in error or error == _Lines.TOO_MANY:
        return "a quote is opened and never closed"
    if "expected after" in error:
        return "a quote inside a cell (write it twice, or quote the whole cell)"
    return error


class _Lines:
    """Lines of which those of the row that is being read can be read again."""

    TOO_MANY = f"a row of more than {RECORD_LINES} lines"

    def __init__(self, lines: Iterator[str]) -> None:
        self.line = 1  # where the row begins
        self.taken: list[str] = []
        self._lines = lines
        self._waiting: deque[str] = deque()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if len(self.taken) >= RECORD_LINES:
            raise csv.Error(self.TOO_MANY)
        line = self._waiting.popleft() if self._waiting else next(self._lines)
        self.taken.append(line)
        return line

    def put_back(self) -> None:
        """Give up the row's first line; what follows it is read again."""
        self._waiting.extendleft(reversed(self.taken[1:]))
        self.line += 1
