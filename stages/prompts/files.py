"""Prompts from a file of one's own: `.txt` (one a line), `.csv`, `.jsonl` or `.parquet`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.errors import InputError
from schemas.generation import COLUMNS, read_settings, seed_in
from schemas.prompt import LeftOut, Prompt
from stages.prompts.csv_rows import MALFORMED
from stages.prompts.rows import broken, columns_of, numbered_rows, require, require_text
from stages.prompts.text_lines import UNDECODABLE, undecodable

# What is carried along where a row has it: the prompt's field, and the columns it may come from.
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

    `column` holds the prompts. Where a row says nothing else, `source` is the file's name, `source_id` the number of the row
    (from 1) and `licence` the one given here. A row that holds no prompt comes as `LeftOut`. Raises `InputError`, also
    for a file with broken rows (cells that the header has no name for, a quote that nothing closes, a setting that is none), unless
    `skip_bad_rows` leaves those out. Columns that are called as settings of generation (`schemas.generation.COLUMNS`) set those of
    their rows, and `seed_column` the seeds of their pictures.
    """

    path: Path
    column: str = "prompt"
    licence: str | None = None
    skip_bad_rows: bool = False
    seed_column: str | None = None

    def __post_init__(self) -> None:
        columns = columns_of(self.path)
        for column in (self.column, *(name for name in carriers(self.column) if name in columns)):
            require(self.path.name, columns, column)
        if self.seed_column is not None:
            require(self.path.name, columns, self.seed_column, "name the one that holds seeds with --seed-column")
        require_text(self.path, self.column)

    def __iter__(self) -> Iterator[Prompt | LeftOut]:
        wanted = [self.column, *carriers(self.column), *([self.seed_column] if self.seed_column else [])]
        rows = numbered_rows(self.path, list(dict.fromkeys(wanted)))
        for count, (number, row) in enumerate(rows, 1):
            where = f"{self.path.name}, line {number}"
            if not isinstance(row, LeftOut):
                name = {"source": self.path.name, "source_id": str(count), "licence": self.licence}
                prompt = prompt_of(row, self.column, where, self.seed_column, **name)
                if isinstance(prompt, LeftOut) and prompt.reason == MALFORMED and not self.skip_bad_rows:
                    raise InputError(f"{prompt.where}. Mend it, or leave such rows out with --skip-bad-rows")
                yield prompt
            elif row.reason == MALFORMED and not self.skip_bad_rows:
                raise broken(self.path.name, number, row, rows, advice=", or leave them out with --skip-bad-rows")
            else:
                yield LeftOut(row.reason, f"{where}: {row.where}")


def read_prompts(
    path: str | Path, column: str | None = None, *, skip_bad_rows: bool = False, seed_column: str | None = None
) -> PromptFile:
    """The prompts of a file; `column` is `prompt` unless it is named. Raises `InputError`."""
    return PromptFile(Path(path), column or "prompt", skip_bad_rows=skip_bad_rows, seed_column=seed_column)


def carriers(prompt: str) -> list[str]:
    """The columns that are carried along."""
    return [name for names in (*CARRIED.values(), COLUMNS) for name in names if name != prompt]


def prompt_of(
    row: Mapping[str, Any], column: str, where: str, seeds: str | None = None, **otherwise: str | None
) -> Prompt | LeftOut:
    """A row as a prompt; `otherwise` holds what stands where the row says nothing, `where` names the row in a reason.

    `seeds` is the column of the pictures' seeds. A setting that cannot be read makes the row malformed.
    """
    text = as_prompt(row[column])
    wrong = undecodable(text)
    if wrong is not None:
        return LeftOut("undecodable", f"{where}: {wrong}")
    fields = {
        field: cell
        for field, names in CARRIED.items()
        if (cell := next(filter(None, (as_text(row.get(name)) for name in names if name != column)), None))
    }
    try:
        settings = settings_in(row, column, seeds)
        own = as_text(row.get(seeds)) if seeds is not None else None
        seed = None if own is None else seed_in(own)
    except InputError as error:
        return LeftOut(MALFORMED, f"{where}: {error}")
    return Prompt(text=text, seed=seed, settings=settings, **{**otherwise, **fields})  # type: ignore[arg-type]


def settings_in(row: Mapping[str, Any], prompt: str, seeds: str | None) -> str | None:
    """What the row sets of its generator, as JSON; None where it sets nothing. Raises InputError that names the setting."""
    cells = {name: as_text(row.get(name)) for name in COLUMNS if name not in (prompt, seeds)}
    values = {name: text for name, text in cells.items() if text}
    return read_settings(values).to_json() if values else None


def as_prompt(cell: Any) -> str:
    """A cell that holds a prompt: nothing is an empty prompt, and what should be text and isn't is undecodable."""
    return "" if cell is None else cell if isinstance(cell, str) else UNDECODABLE


def as_text(cell: Any) -> str | None:
    """A cell that is carried along, as text (a list's with "; " between); None where it is empty or no text."""
    if isinstance(cell, list | tuple):
        return "; ".join(filter(None, map(as_text, cell))) or None
    if cell is None or cell != cell:  # (a NaN isn't itself)
        return None
    text = (cell.decode("utf-8", "surrogateescape") if isinstance(cell, bytes) else str(cell)).strip()
    return text if text and undecodable(text) is None else None
