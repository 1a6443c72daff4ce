"""Rows out of a `.txt`, `.csv`, `.jsonl` or `.parquet` file, streamed, with one clear error for what can't be read at all.

A row that can't be read is no silent loss: `numbered_rows` yields it as `LeftOut`, with its reason. Bytes that can't be decoded
come as lone surrogates (`text_lines`), which the intake counts as undecodable.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from schemas.errors import InputError
from schemas.prompt import LeftOut
from stages.prompts import csv_rows, json_rows, parquet_rows
from stages.prompts.text_lines import UNDECODABLE, open_lines

Row = dict[str, Any]
SUFFIXES = (".txt", ".csv", ".jsonl", ".parquet")

SHOWN = 5  # broken rows, and columns by 4, that an error names
LOOKED_AT = 100_000  # further rows that are looked at to name broken ones


def columns_of(path: Path) -> list[str]:
    """The file's columns; of `.jsonl` the first rows' keys, of `.txt` just `prompt`. Reads the beginning of the file only.

    Raises `InputError` for a missing, empty or broken file and for a suffix it doesn't know.
    """
    kind = _kind(path)
    with _explained(path):
        if path.stat().st_size == 0:
            raise InputError(f"{path.name} is empty")
        if kind == ".txt":
            path.open("rb").close()
            return ["prompt"]
        return {".csv": csv_rows.header, ".jsonl": json_rows.columns, ".parquet": parquet_rows.columns}[kind](path)


def require(
    name: str, columns: Sequence[str], wanted: str, advice: str = "name the one that holds the prompts with --column"
) -> None:
    """Raise `InputError` if the wanted column isn't there exactly once, with those that are and the nearest one."""
    if columns.count(wanted) == 1:
        return
    if wanted in columns:
        raise InputError(
            f"{name} has {columns.count(wanted)} columns {wanted!r}: rename one, so that it is clear which is meant"
        )
    some = {column.lower(): column for column in columns[:1000]}
    near = get_close_matches(wanted.lower()[:80], list(some), n=1, cutoff=0.5)
    hint = f"; did you mean {some[near[0]][:80]!r}?" if near else ""
    raise InputError(f"{name} has no column {wanted[:80]!r}, only {listed(columns)}{hint} ({advice})")


def require_text(path: Path, column: str) -> None:
    """Raise `InputError` if the file says that the column (which it has) holds no text."""
    if _kind(path) == ".parquet":
        with _explained(path):
            parquet_rows.check_text(path, column)


def listed(columns: Sequence[str]) -> str:
    """The names of columns for an error, of many the first ones."""
    names = ", ".join(repr(column[:80]) for column in columns[: 4 * SHOWN])
    more = len(columns) - 4 * SHOWN
    return (f"{names} and {more:,} more" if more > 0 else names) or "none"


def numbered_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, Row | LeftOut]]:
    """Line (in Parquet: row), from 1, and the wanted columns of each row, in order; None where the file or the row lacks one.

    Raises `InputError`; a row that is broken does not raise: it comes as `LeftOut`.
    """
    kind = _kind(path)
    with _explained(path):
        yield from _READ[kind](path, columns)


def rows_of(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """The rows of a file of the right shape. Raises `InputError` naming the broken ones; a line that is no JSON is undecodable."""
    rows = numbered_rows(path, columns)
    for number, row in rows:
        if not isinstance(row, LeftOut):
            yield row
        elif row.reason == csv_rows.MALFORMED:
            raise broken(path.name, number, row, rows)
        else:
            yield dict.fromkeys(columns, UNDECODABLE)


def broken(
    name: str, number: int, first: LeftOut, further: Iterator[tuple[int, Row | LeftOut]], advice: str = ""
) -> InputError:
    """The error for a file with broken rows: the first ones by line, and how to go on."""
    faults = [(number, first)]
    for line, row in islice(further, LOOKED_AT):
        if isinstance(row, LeftOut) and row.reason == first.reason:
            faults.append((line, row))
            if len(faults) > SHOWN:
                break
    places = "; ".join(f"line {line}: {row.where}" for line, row in faults[:SHOWN])
    more = "; and more" if len(faults) > SHOWN else ""
    return InputError(f"{name} has broken rows ({places}{more}). Mend them{advice}")


def _kind(path: Path) -> str:
    kind = path.suffix.lower()
    if path.is_dir():
        raise InputError(f"{path} is a folder: give one file, or read it as a datasets directory")
    if kind not in SUFFIXES:
        raise InputError(
            f"{path.name}: prompts are read from {', '.join(SUFFIXES)} files, not from {kind or 'one without a suffix'}"
        )
    return kind


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turns what the libraries raise about a file into one `InputError`."""
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"there is no file {path}") from error
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:  # Unicode: names in a Parquet file's own metadata
        raise InputError(f"{path.name} can't be read, it may be broken or cut off: {str(error)[:500]}") from error


def _text_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, Row]]:
    with open_lines(path) as lines:
        for number, line in enumerate(lines, 1):
            yield number, {**dict.fromkeys(columns), "prompt": line.rstrip("\n")}


def _csv_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, Row | LeftOut]]:
    names = csv_rows.header(path)
    places = [(column, names.index(column) if column in names else None) for column in columns]
    for number, cells in csv_rows.records(path):
        if isinstance(cells, LeftOut):
            yield number, cells
        else:
            yield number, {column: None if place is None else cells[place] for column, place in places}


def _json_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, Row | LeftOut]]:
    for number, row in json_rows.objects(path):
        yield number, row if isinstance(row, LeftOut) else {column: row.get(column) for column in columns}


def _parquet_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, Row]]:
    there = parquet_rows.columns(path)
    for column in columns:
        if there.count(column) > 1:
            require(path.name, there, column)
    for number, row in parquet_rows.rows(path, [column for column in columns if column in there]):
        yield number, {**dict.fromkeys(columns), **row}


_READ = {".txt": _text_rows, ".csv": _csv_rows, ".jsonl": _json_rows, ".parquet": _parquet_rows}
