"""Print the answer to a query: as a table for people, as CSV or JSON for programs."""

import csv
import json
import sys
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
from rich import box
from rich.console import Console
from rich.table import Table

from schemas.errors import InputError

FORMATS = ("table", "csv", "json")
LARGEST = 256 * 2**20  # bytes of Arrow that are held to be printed; Python's objects take about ten times as much
NUMBERS = (int, float)


@dataclass(frozen=True, slots=True)
class Answer:
    """Column names and rows."""

    columns: list[str]
    rows: list[tuple[Any, ...]]


def collect(reader: pa.RecordBatchReader) -> Answer:
    """All rows, to be printed. Raises InputError if they are too many to hold."""
    rows: list[tuple[Any, ...]] = []
    size = 0
    for batch in reader:
        size += batch.nbytes
        if size > LARGEST:
            raise InputError(
                f"the answer is larger than {LARGEST // 2**20} MB: add a LIMIT, or have it written with --write FILE"
            )
        rows += rows_of(batch)
    return Answer(list(reader.schema.names), rows)


def rows_of(batch: pa.RecordBatch) -> list[tuple[Any, ...]]:
    """The rows of a batch as Python's values."""
    columns = [column.to_pylist(maps_as_pydicts="strict") for column in batch.columns]
    return list(zip(*columns, strict=True))


def print_answer(answer: Answer, form: str) -> None:
    """To stdout. JSON is one list of objects; binary values are hex, times ISO."""
    if form == "csv":
        writer = csv.writer(sys.stdout)
        writer.writerow(answer.columns)
        writer.writerows([plain(value) for value in row] for row in answer.rows)
    elif form == "json":
        rows = [dict(zip(answer.columns, map(plain, row), strict=True)) for row in answer.rows]
        print(json.dumps(rows, ensure_ascii=False))
    else:
        _print_table(answer)


def plain(value: Any) -> Any:
    """A value as JSON can hold it."""
    if value is None or isinstance(value, (str, bool, *NUMBERS)):
        return value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Decimal):  # DuckDB's HUGEINT, as sums are, comes as a decimal without a fraction
        return int(value) if value.as_tuple().exponent == 0 else str(value)
    if isinstance(value, pa.MonthDayNano):
        rest = str(timedelta(days=value.days, microseconds=value.nanoseconds // 1000))
        return f"{value.months} months, {rest}" if value.months else rest
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _print_table(answer: Answer) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    for number, name in enumerate(answer.columns):
        numeric = all(isinstance(row[number], (*NUMBERS, Decimal, type(None))) for row in answer.rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in answer.rows:
        table.add_row(*(_cell(value) for value in row))
    # A pipe has no width of its own: nothing is cut or wrapped there.
    console = Console(width=None if sys.stdout.isatty() else 1000, markup=False, highlight=False)
    console.print(table)
    console.print(f"{len(answer.rows)} rows")


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(plain(value))
