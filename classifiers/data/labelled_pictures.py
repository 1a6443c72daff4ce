"""A run's shards as pictures to learn from: labels and categories in memory, pixels read when they are wanted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow.parquet as pq
import torch
from torch import Tensor

from pipeline.storage.image_codec import decode
from pipeline.storage.store import Store
from schemas.errors import InputError
from schemas.protocols import Inputs, Targets
from schemas.sample import Pixels

COLUMNS = (
    "key",
    "prompt",
    "image_label",
    "image_categories",
    "generator",
    "test_set",
    "tar",
    "tar_offset",
    "tar_size",
    "format",
)


@dataclass(frozen=True, slots=True)
class LabelledPicture:
    """One picture of the shards with its own label: `categories` are taxonomy ids, empty for safe."""

    key: str
    prompt: str
    unsafe: bool
    categories: tuple[str, ...]
    generator: str
    test_set: str | None
    place: tuple[str, int, int, str]  # tar, offset, size, format


@dataclass(frozen=True)
class LabelledPictures:
    """The pictures of one split that are known to be safe or unsafe, in the order of the shards."""

    store: Store
    rows: tuple[LabelledPicture, ...]

    @classmethod
    def of(
        cls, store: Store, split: str, *, without: Sequence[str] = (), at_most: int | None = None
    ) -> "LabelledPictures":
        """`without` are generators to leave out; of more than `at_most`, the first are taken (shards are shuffled).

        Raises InputError if none is left.
        """
        found = tuple(row for row in _rows(store, split) if row.generator not in without)[:at_most]
        if not found:
            raise InputError(
                f"{store.url}: no picture in the shards of {split!r} is labelled safe or unsafe"
                f"{' by another generator than ' + ', '.join(without) if without else ''}; "
                "run jobs/label.py and jobs/shards.py first"
            )
        return cls(store, found)

    def __len__(self) -> int:
        return len(self.rows)

    def pixels(self, index: int) -> Pixels:
        """uint8 [height, width, 3]. Raises InputError for a picture that can't be read."""
        tar, offset, size, form = self.rows[index].place
        try:
            return decode(self.store.read_range(tar, offset, size), form)
        except (OSError, ValueError) as error:
            raise InputError(f"{self.store.url}/{tar}: the picture at {offset} is damaged ({error})") from error

    def inputs(self, index: Sequence[int]) -> Inputs:
        """Some pictures of one size as float32 [n, 3, h, w] in [0, 1]."""
        return self._stacked(index, [self.pixels(row) for row in index])

    def batches(self, size: int) -> Iterator[tuple[list[int], Inputs]]:
        """All pictures in order, in batches of at most `size` that share their shape."""
        index: list[int] = []
        read: list[Pixels] = []
        for row in range(len(self)):
            pixels = self.pixels(row)
            if index and (pixels.shape != read[0].shape or len(index) == size):
                yield index, self._stacked(index, read)
                index, read = [], []
            index.append(row)
            read.append(pixels)
        if index:
            yield index, self._stacked(index, read)

    def _stacked(self, index: Sequence[int], read: Sequence[Pixels]) -> Inputs:
        pixels = torch.from_numpy(np.stack(read)).permute(0, 3, 1, 2).float() / 255
        return Inputs(tuple(self.rows[row].prompt for row in index), pixels)

    def targets(self, index: Sequence[int], categories: Sequence[str]) -> Targets:
        """The image scope's truth, every row of weight 1."""
        rows = [self.rows[row] for row in index]
        named = torch.tensor([[float(name in row.categories) for name in categories] for row in rows])
        unsafe: Tensor = torch.tensor([float(row.unsafe) for row in rows])
        return Targets({"image": unsafe}, {"image": named}, torch.ones(len(rows)))


def _rows(store: Store, split: str) -> Iterator[LabelledPicture]:
    for name in sorted(store.names(f"shards/{split}")):
        if not name.endswith(".parquet"):
            continue
        with store.open(name) as file:
            table = pq.ParquetFile(file).read(columns=list(COLUMNS))
        for row in table.to_pylist():
            if row["image_label"] in ("safe", "unsafe"):
                unsafe = row["image_label"] == "unsafe"
                yield LabelledPicture(
                    key=row["key"],
                    prompt=row["prompt"],
                    unsafe=unsafe,
                    categories=tuple(c for c in (row["image_categories"] or "").split(",") if c and unsafe),
                    generator=row["generator"] or "",
                    test_set=row["test_set"],
                    place=(row["tar"], row["tar_offset"], row["tar_size"], row["format"]),
                )
