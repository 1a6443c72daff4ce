"""Rows out of a `.txt`, `.csv`, `.jsonl` or `.parquet` file, streamed, with one clear error for what can't be read at all.

A row that can't be decoded does not end a run: its bytes come as lone surrogates (PEP 383), which no valid text
holds, so that the intake counts it as undecodable. A line that is no JSON object comes as `UNDECODABLE`.
"""

import codecs
import csv
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import InputError

Row = dict[str, Any]
UNDECODABLE = "\udcff"

_BATCH_ROWS = 8192  # a few MB of prompts: memory stays flat whatever the size of a row group


def columns_of(path: Path) -> list[str]:
    """The file's columns; of `.jsonl` the first row's keys, of `.txt` just `prompt`. Reads the beginning of the file only.

    Raises `InputError` for a missing, empty or broken file and for a suffix it doesn't know.
    """
    kind = _kind(path)
    with _explained(path):
        if path.stat().st_size == 0:
            raise InputError(f"{path.name} is empty")
        return _COLUMNS[kind](path)


def require(
    name: str, columns: Sequence[str], wanted: str, advice: str = "name the one that holds the prompts with --column"
) -> None:
    """Raise `InputError` if the wanted column isn't there, with those that are and the nearest one."""
    if wanted in columns:
        return
    near = get_close_matches(wanted.lower(), [column.lower() for column in columns], n=1, cutoff=0.5)
    hint = next((f"; did you mean {column!r}?" for column in columns if [column.lower()] == near), "")
    raise InputError(
        f"{name} has no column {wanted!r}, only {', '.join(map(repr, columns)) or 'none'}{hint} ({advice})"
    )


def rows_of(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """The file's rows with the given columns (all of which it has), in order. A cell that a row lacks is None."""
    kind = _kind(path)
    with _explained(path):
        yield from _ROWS[kind](path, columns)


def _kind(path: Path) -> str:
    kind = path.suffix.lower()
    if path.is_dir():
        raise InputError(f"{path} is a folder: give one file, or read it as a datasets directory")
    if kind not in _ROWS:
        raise InputError(
            f"{path.name}: prompts are read from {', '.join(_ROWS)} files, not from {kind or 'one without a suffix'}"
        )
    return kind


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turns what the libraries raise about a file into one `InputError`."""
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"there is no file {path}") from error
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path.name} can't be read, it may be broken or cut off: {error}") from error


def _open_text(path: Path, newline: str | None) -> TextIO:
    with path.open("rb") as raw:
        head = raw.read(2)
    if head in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):  # what Windows tools call "Unicode"
        return path.open(encoding="utf-16", errors="replace", newline=newline)
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline=newline)


def _text_columns(path: Path) -> list[str]:
    with path.open("rb"):
        return ["prompt"]


def _text_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    with _open_text(path, None) as lines:
        for line in lines:
            yield {"prompt": line.rstrip("\n")}


def _delimiter(path: Path) -> str:
    """Comma, or what the header has more of: spreadsheets of many countries write semicolons."""
    with _open_text(path, None) as lines:
        header = lines.readline()
    return max(",;\t", key=header.count)


def _csv_columns(path: Path) -> list[str]:
    with _open_text(path, "") as lines:
        return [name.strip() for name in next(csv.reader(lines, delimiter=_delimiter(path)), [])]


def _csv_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    names = _csv_columns(path)
    places = [(column, names.index(column)) for column in columns]
    with _open_text(path, "") as lines:
        cells = csv.reader(lines, delimiter=_delimiter(path))
        next(cells)
        while True:
            try:
                row = next(cells)
            except StopIteration:
                return
            except csv.Error:  # a field beyond csv.field_size_limit (128 kB), as after a quote that nothing closes
                yield dict.fromkeys(columns, UNDECODABLE)
                continue
            if row:
                yield {column: row[place] if place < len(row) else None for column, place in places}


def _json_object(line: str) -> Row | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _json_lines(path: Path) -> Iterator[str]:
    with _open_text(path, None) as lines:
        for line in lines:
            if line.strip():
                yield line


def _json_columns(path: Path) -> list[str]:
    line = next(_json_lines(path), "")
    row = _json_object(line)
    if row is None:
        raise InputError(f"{path.name} doesn't begin with a JSON object: .jsonl has one object on each line")
    return list(row)


def _json_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    for line in _json_lines(path):
        row = _json_object(line)
        yield dict.fromkeys(columns, UNDECODABLE) if row is None else {column: row.get(column) for column in columns}


def _parquet_columns(path: Path) -> list[str]:
    return list(pq.read_schema(path).names)


def _parquet_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_BATCH_ROWS, columns=list(columns)):
            # Cells by name: a batch has its columns in the file's order, whatever was asked for.
            cells = [_cells(batch.column(column)) for column in columns]
            for row in zip(*cells, strict=True):
                yield dict(zip(columns, row, strict=True))


def _cells(column: Any) -> list[Any]:
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:  # Arrow doesn't check that a string column holds UTF-8
        raw = column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
        return [
            None if cell is None else cell.decode("utf-8", "surrogateescape")
            for cell in raw.cast(pa.binary()).to_pylist()
        ]


_COLUMNS: dict[str, Callable[[Path], list[str]]] = {
    ".txt": _text_columns,
    ".csv": _csv_columns,
    ".jsonl": _json_columns,
    ".parquet": _parquet_columns,
}
_ROWS: dict[str, Callable[[Path, Sequence[str]], Iterator[Row]]] = {
    ".txt": _text_rows,
    ".csv": _csv_rows,
    ".jsonl": _json_rows,
    ".parquet": _parquet_rows,
}
SUFFIXES = tuple(_ROWS)
