"""Stages that only benchmarks use."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.stage import Stage, Step
from schemas.sample import Sample


@dataclass(frozen=True, kw_only=True)
class Tile(Stage):
    """A grey 4 x 4 picture: what remains is the cost of the pipeline itself."""

    adds: ClassVar[frozenset[str]] = frozenset({"pixels"})

    def open(self) -> Step:
        """Nothing to load."""
        pixels = np.full((4, 4, 3), 128, dtype=np.uint8)

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            return (sample.with_(pixels=pixels) for sample in batch)

        return step
