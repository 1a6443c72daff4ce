"""Print the answer to a query: as a table for people, as CSV or JSON for programs."""

import csv
import json
import sys
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

FORMATS = ("table", "csv", "json")
NUMBERS = (int, float)


@dataclass(frozen=True, slots=True)
class Answer:
    """Column names and rows."""

    columns: list[str]
    rows: list[tuple[Any, ...]]


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
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _print_table(answer: Answer) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    for number, name in enumerate(answer.columns):
        numeric = all(isinstance(row[number], (*NUMBERS, type(None))) for row in answer.rows)
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
