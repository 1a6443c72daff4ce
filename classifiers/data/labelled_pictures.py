"""A run's shards as pictures to learn from: labels and categories in memory, pixels read when they are wanted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from classifiers.data.labelled_sample import LabelledSample
from classifiers.data.labelled_shards import LabelledShards
from pipeline.storage.store import Store
from schemas.errors import InputError
from schemas.protocols import Inputs, Targets
from schemas.sample import Pixels


@dataclass(frozen=True)
class LabelledPictures:
    """The pictures of one split that are known to be safe or unsafe, in the order of the shards."""

    store: Store
    rows: tuple[LabelledSample, ...]

    @classmethod
    def of(
        cls, store: Store, split: str, *, without: Sequence[str] = (), at_most: int | None = None
    ) -> "LabelledPictures":
        """`without` are generators to leave out; of more than `at_most`, the first are taken (shards are shuffled).

        Raises InputError if none is left.
        """
        rows = LabelledShards(store, split, ("image",), source="parquet")
        kept = tuple(row for row in rows if row.sample.generator not in without)[:at_most]
        if not kept:
            raise InputError(
                f"{store.url}: no picture in the shards of {split!r} is labelled safe or unsafe"
                f"{' by another generator than ' + ', '.join(without) if without else ''}; "
                "run jobs/label.py and jobs/shards.py first"
            )
        return cls(store, kept)

    def __len__(self) -> int:
        return len(self.rows)

    def pixels(self, index: int) -> Pixels:
        """uint8 [height, width, 3]. Raises InputError for a picture that can't be read."""
        return self.rows[index].pixels(self.store)

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
        return Inputs(tuple(self.rows[row].sample.prompt for row in index), pixels)

    def targets(self, index: Sequence[int], categories: Sequence[str]) -> Targets:
        """The image scope's truth, every row of weight 1."""
        rows = [self.rows[row] for row in index]
        named = torch.tensor([[float(name in row.categories) for name in categories] for row in rows])
        unsafe: Tensor = torch.tensor([float(row.unsafe) for row in rows])
        return Targets({"image": unsafe}, {"image": named}, torch.ones(len(rows)))
