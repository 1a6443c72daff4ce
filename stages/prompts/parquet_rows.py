"""Rows out of a Parquet file: text as text, names for numbers where the file says which (ClassLabel of `datasets`)."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import InputError

_BATCH_ROWS = 8192  # a few MB of prompts: memory stays flat whatever the size of a row group


def columns(path: Path) -> list[str]:
    """The columns' names, in order."""
    return list(pq.read_schema(path).names)


def check_text(path: Path, column: str) -> None:
    """Raise InputError if the column can't hold prompts: its type is no text."""
    schema = pq.read_schema(path)
    kind = schema.field(column).type
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (is_text(value) or pa.types.is_null(value) or column in _class_names(schema)):
        raise InputError(
            f"{path.name}: the column {column!r} holds {str(kind)[:200]}, and a prompt is text: "
            "name another one with --column, or write this one as text (string)"
        )


def is_text(kind: pa.DataType) -> bool:
    """Whether values of the type are str."""
    return kind in (pa.string(), pa.large_string(), pa.string_view())


def rows(path: Path, wanted: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The number of each row (from 1) with the wanted columns, all of which the file has."""
    named = _class_names(pq.read_schema(path))
    number = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_BATCH_ROWS, columns=list(wanted)):
            # Cells by name: a batch has its columns in the file's order, whatever was asked for.
            cells = [_named(_cells(batch.column(column)), named.get(column)) for column in wanted]
            for row in zip(*cells, strict=True):
                number += 1
                yield number, dict(zip(wanted, row, strict=True))


def _cells(column: Any) -> list[Any]:
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:  # Arrow doesn't check that a string column holds UTF-8
        raw = column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
        binary = raw.cast(pa.large_binary() if pa.types.is_large_string(raw.type) else pa.binary())
        return [None if cell is None else cell.decode("utf-8", "surrogateescape") for cell in binary.to_pylist()]
    except (OverflowError, ValueError, pa.ArrowException):  # times, dates and durations that Python has not
        return _as_written(column)


def _as_written(column: Any) -> list[Any]:
    """Times beyond Python's years as Arrow writes them; of an unknown time zone, or of a kind that it can't write, as numbers."""
    try:
        return list(column.cast(pa.string()).to_pylist())
    except pa.ArrowException:
        return [None if cell is None else str(cell) for cell in column.cast(pa.int64()).to_pylist()]


def _class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """The names of classes that `datasets` kept beside columns of their numbers."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        return {
            column: [str(name) for name in feature["names"]]
            for column, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and feature.get("names")
        }
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}  # metadata of somebody else, or none


def _named(cells: list[Any], names: list[str] | None) -> list[Any]:
    return cells if names is None else [class_name(cell, names) for cell in cells]


def class_name(cell: Any, names: Sequence[str]) -> Any:
    """A class's name for its number; None for -1, which is how `datasets` writes that it isn't known."""
    if not isinstance(cell, int) or isinstance(cell, bool):
        return cell
    return names[cell] if 0 <= cell < len(names) else None if cell == -1 else str(cell)
