"""Prompts from any dataset of the `datasets` library: a folder (data files, or `save_to_disk`) or a hub id."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from schemas.errors import InputError
from schemas.prompt import LeftOut, Prompt
from stages.prompts.files import carriers, prompt_of
from stages.prompts.parquet_rows import class_name
from stages.prompts.rows import require, rows_of


@dataclass(frozen=True)
class HubPrompts:
    """The prompts of one split, in order; iterating again gives the same ones (pin `revision` for a hub id that may change).

    `source` becomes the hub id or the folder's name, `source_id` the number of the row (from 1), unless the dataset
    has columns for them; `licence` is what the dataset says of itself unless given. Raises `InputError` when
    iterated: making one looks nothing up.
    """

    name: str
    column: str = "prompt"
    split: str = "train"
    config: str | None = None
    revision: str | None = None
    licence: str | None = None
    seed_column: str | None = None

    def __iter__(self) -> Iterator[Prompt | LeftOut]:
        with explained(self.name):
            check_shape(self.name)
            dataset = open_dataset(self.name, self.split, self.config, self.revision)
            columns = dataset_columns(dataset, self.name)
            require(self.name, columns, self.column)
            if self.seed_column is not None:
                require(self.name, columns, self.seed_column, "name the one that holds seeds with --seed-column")
            names = _class_names(dataset, self.name, self.column)
            licence = self.licence or _licence(dataset, self.name)
            source = Path(self.name).name if Path(self.name).is_dir() else self.name
            # Only what is needed: a picture column would be decoded row by row.
            carried = [name for name in (*carriers(self.column), self.seed_column) if name in columns]
            rows = dataset.select_columns(list(dict.fromkeys([self.column, *carried])))
            for number, row in enumerate(rows, 1):
                row = {**row, **{column: class_name(row[column], names[column]) for column in names if column in row}}
                name = {"source": source, "source_id": str(number), "licence": licence}
                yield prompt_of(row, self.column, f"{source}, row {number}", self.seed_column, **name)


def check_shape(name: str) -> None:
    """Raise InputError for a broken CSV file of a dataset's folder: `datasets` takes a cell too many for the row's number."""
    if Path(name).is_dir():
        for path in sorted(Path(name).rglob("*.csv")):
            for _ in rows_of(path, []):
                pass


def _class_names(dataset: Any, name: str, prompt: str) -> dict[str, list[str]]:
    """The names of classes by column. Raises InputError where the dataset says that the prompts' column holds no text."""
    features = dataset.features or {}
    kind = features.get(prompt)
    names = {column: list(one.names) for column, one in features.items() if type(one).__name__ == "ClassLabel"}
    if kind is not None and prompt not in names and "string" not in str(getattr(kind, "dtype", "")):
        raise InputError(f"the dataset {name}: the column {prompt!r} holds {str(kind)[:200]}, and a prompt is text")
    return names


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turns what `datasets` raises about a dataset, opening or reading it, into one `InputError`."""
    import datasets  # takes seconds: not before it is needed

    try:
        yield
    except (OSError, ValueError, pa.ArrowException, datasets.exceptions.DatasetsError) as error:
        raise InputError(
            f"the dataset {name} can't be read: {str(error)[:500]}. Give the folder of a dataset, or a hub id and access to the hub"
        ) from error


def open_dataset(name: str, split: str, config: str | None, revision: str | None) -> Any:
    """The dataset, streamed. Raises what `explained` explains."""
    import datasets

    folder = Path(name)
    if (folder / "state.json").is_file():
        return datasets.load_from_disk(name)
    if (folder / "dataset_dict.json").is_file():
        splits = datasets.load_from_disk(name)
        if split not in splits:
            raise InputError(f"the dataset {name} has no split {split!r}, only {', '.join(map(repr, splits))}")
        return splits[split]
    return datasets.load_dataset(name, config, split=split, revision=revision, streaming=True)


def dataset_columns(dataset: Any, name: str) -> list[str]:
    """The columns; a stream of untyped files says them with its first row only."""
    if dataset.column_names is not None:
        return list(dataset.column_names)
    first = next(iter(dataset), None)
    if first is None:
        raise InputError(f"the dataset {name} has no rows")
    return list(first)


def _licence(dataset: Any, name: str) -> str | None:
    """What the dataset says of its licence: in its info, or in its card."""
    if dataset.info.license:
        return str(dataset.info.license)
    from huggingface_hub import DatasetCard

    card = Path(name) / "README.md"
    try:
        if Path(name).is_dir():
            licence = DatasetCard.load(card).data.license if card.is_file() else None
        else:
            licence = DatasetCard.load(name).data.license
    except (OSError, ValueError):
        return None  # no card: the licence is unknown, which is what None says
    return ", ".join(licence) if isinstance(licence, list) else licence
