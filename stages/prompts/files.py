"""Prompts from a file of one's own: `.txt` (one a line), `.csv`, `.jsonl` or `.parquet`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.prompt import Prompt
from stages.prompts.rows import UNDECODABLE, columns_of, require, rows_of

# What is carried along where a file has it: the prompt's field, and the columns it may come from.
CARRIED = {
    "language": ("language",),
    "source": ("source",),
    "source_id": ("id", "source_id"),
    "licence": ("licence", "license"),
    "category": ("category",),
    "label": ("label",),
}


@dataclass(frozen=True)
class PromptFile:
    """The prompts of one file, in order; iterating again gives the same ones. Making one checks that the file can be read.

    `column` holds the prompts. Where the file has no column for them, `source` is the file's name, `source_id` the
    number of the row (from 1) and `licence` the one given here. Raises `InputError`.
    """

    path: Path
    column: str = "prompt"
    licence: str | None = None

    def __post_init__(self) -> None:
        require(self.path.name, columns_of(self.path), self.column)

    def __iter__(self) -> Iterator[Prompt]:
        carried = carried_columns(columns_of(self.path), self.column)
        for number, row in enumerate(rows_of(self.path, [self.column, *carried.values()]), 1):
            yield prompt_of(
                row, self.column, carried, source=self.path.name, source_id=str(number), licence=self.licence
            )


def read_prompts(path: str | Path, column: str | None = None) -> PromptFile:
    """The prompts of a file; `column` is `prompt` unless it is named. Raises `InputError`."""
    return PromptFile(Path(path), column or "prompt")


def carried_columns(columns: list[str], prompt: str) -> dict[str, str]:
    """Which of the columns is carried into which field of the prompt."""
    found = {
        field: next((name for name in names if name in columns and name != prompt), None)
        for field, names in CARRIED.items()
    }
    return {field: name for field, name in found.items() if name is not None}


def prompt_of(row: Mapping[str, Any], column: str, carried: Mapping[str, str], **otherwise: str | None) -> Prompt:
    """A row as a prompt; `otherwise` holds what stands where the row says nothing."""
    fields = {field: said for field, name in carried.items() if (said := as_text(row[name]))}
    return Prompt(text=as_prompt(row[column]), **{**otherwise, **fields})  # type: ignore[arg-type]


def as_prompt(cell: Any) -> str:
    """A cell that holds a prompt: nothing is an empty prompt, and what should be text and isn't is undecodable."""
    return "" if cell is None else cell if isinstance(cell, str) else UNDECODABLE


def as_text(cell: Any) -> str | None:
    """A cell that is carried along, as text; None where it is empty or no text."""
    text = "" if cell is None or cell != cell else str(cell).strip()  # (a NaN isn't itself)
    return text if text and not any("\ud800" <= char <= "\udfff" for char in text) else None
