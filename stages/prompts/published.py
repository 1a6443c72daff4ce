"""Benchmarks of prompts in the layout in which their authors publish them; each other file here with a `PublishedPrompts` is one.

`--prompts NAME:WHERE` reads one, NAME being the file's: `i2p:i2p_benchmark.csv`, or `i2p:AIML-TUDA/i2p` on the hub.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import ClassVar

import stages.prompts
from schemas.errors import InputError
from schemas.plug_ins import plug_ins
from schemas.prompt import Prompt
from stages.prompts.hub import dataset_columns, explained, open_dataset
from stages.prompts.rows import SUFFIXES, Row, columns_of, require, rows_of


@dataclass(frozen=True)
class PublishedPrompts(ABC):
    """The prompts of `where`: a copy of the authors' file, the folder of a dataset, or its hub id; iterating again gives the same.

    Rows have the columns `needs` and, None where the table hasn't them, `likes`. Raises `InputError` for another layout: of
    a file when it is made, of a folder or hub id when it is iterated.
    """

    needs: ClassVar[tuple[str, ...]] = ("prompt",)
    likes: ClassVar[tuple[str, ...]] = ()
    where: str

    @abstractmethod
    def __iter__(self) -> Iterator[Prompt]:
        """The prompts in order, with what the source claims of them."""

    def __post_init__(self) -> None:
        if self.is_file:
            self._choose(columns_of(Path(self.where)))

    def rows(self) -> Iterator[Row]:
        """The rows of the table."""
        if self.is_file:
            path = Path(self.where)
            for row in rows_of(path, self._choose(columns_of(path))):
                yield self._whole(row)
            return
        with explained(self.where):
            dataset = open_dataset(self.where, "train", None, None)
            for row in dataset.select_columns(self._choose(dataset_columns(dataset, self.where))):
                yield self._whole(row)

    @property
    def is_file(self) -> bool:
        """Whether it is one; one that isn't there is still meant as one."""
        return Path(self.where).is_file() or Path(self.where).suffix.lower() in SUFFIXES

    def _whole(self, row: Row) -> Row:
        return {**dict.fromkeys(self.likes), **row}

    def _choose(self, columns: list[str]) -> list[str]:
        for column in self.needs:
            require(Path(self.where).name, columns, column, advice="is it the file as published?")
        return [*self.needs, *(column for column in self.likes if column in columns)]


def benchmark_classes() -> dict[str, type[PublishedPrompts]]:
    """Every benchmark that can be read, by its file's name."""
    return plug_ins(stages.prompts, PublishedPrompts)  # type: ignore[type-abstract]


def benchmark_of(source: str) -> PublishedPrompts | None:
    """What `NAME:WHERE` names, None for another form. Raises InputError for a NAME that is none."""
    name, colon, where = source.partition(":")
    if not colon or Path(source).exists():
        return None
    classes = benchmark_classes()
    if name not in classes:
        near = get_close_matches(name, classes, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise InputError(
            f"--prompts {source}: no file, and no benchmark {name!r}; {hint}There are {', '.join(classes)}"
        )
    return classes[name](where)


def seed_in(cell: object, column: str, row: int, where: str) -> int:
    """A seed in [0, 2^63); a table that went through a spreadsheet may have 7.0. Raises InputError, naming the row."""
    text = str(cell)
    try:
        number = int(text) if text.isdecimal() else float(text)
        if number != int(number) or not 0 <= number < 2**63:
            raise ValueError("no whole number in [0, 2^63)")
        return int(number)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{where}, row {row}: {column} is {cell!r}, expected a seed ({error})") from error
