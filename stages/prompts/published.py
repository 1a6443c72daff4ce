"""Rows of a dataset as its authors published it: a copy of their file, the folder of a dataset, or its hub id."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stages.prompts.hub import dataset_columns, explained, open_dataset
from stages.prompts.rows import SUFFIXES, Row, columns_of, require, rows_of


@dataclass(frozen=True)
class Published:
    """Rows with the columns `needs` and, None where the table hasn't them, `likes`; iterating again gives the same rows.

    Raises `InputError`: for a file when it is made, for a folder or hub id when it is iterated.
    """

    where: str
    needs: tuple[str, ...]
    likes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self._is_file():
            self._choose(columns_of(Path(self.where)))

    def __iter__(self) -> Iterator[Row]:
        return self._of_file() if self._is_file() else self._of_dataset()

    def _of_file(self) -> Iterator[Row]:
        path = Path(self.where)
        chosen = self._choose(columns_of(path))
        for row in rows_of(path, chosen):
            yield self._whole(row)

    def _of_dataset(self) -> Iterator[Row]:
        with explained(self.where):
            dataset = open_dataset(self.where, "train", None, None)
            chosen = self._choose(dataset_columns(dataset, self.where))
            for row in dataset.select_columns(chosen):
                yield self._whole(row)

    def _whole(self, row: Row) -> Row:
        return {**dict.fromkeys(self.likes), **row}

    def _is_file(self) -> bool:
        # A file that isn't there is still meant as one.
        return Path(self.where).is_file() or Path(self.where).suffix.lower() in SUFFIXES

    def _choose(self, columns: list[str]) -> list[str]:
        for column in self.needs:
            require(Path(self.where).name, columns, column, advice="is it the file as published?")
        return [*self.needs, *(column for column in self.likes if column in columns)]
