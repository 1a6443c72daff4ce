"""Small stages for the tests of the pipeline: they draw from the key alone, and misbehave where a prompt says so."""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from pipeline.stage import Resources, Stage, Step
from schemas.identity import seed_of
from schemas.sample import Sample


@dataclass(frozen=True, kw_only=True)
class Paint(Stage):
    """An 8 x 8 picture that depends on the key and on the row of the batch, as a batched model's may; takes `delay` seconds."""

    adds: ClassVar[frozenset[str]] = frozenset({"pixels"})
    delay: float = 0.0
    batch_size: int = 4

    def open(self) -> Step:
        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            for sample in batch:
                time.sleep(self.delay)
                rng = np.random.default_rng(seed_of(sample.key, f"paint {sample.batch_row}"))
                yield sample.with_(pixels=rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))

        return step


@dataclass(frozen=True, kw_only=True)
class PaintOnAccelerator(Paint):
    """The same, where the cluster has an accelerator."""

    resources: ClassVar[Resources] = Resources(accelerator=True)


@dataclass(frozen=True, kw_only=True)
class Misbehave(Stage):
    """Passes samples on, but for prompts that contain `raise`, `nan` or `kill`."""

    adds: ClassVar[frozenset[str]] = frozenset({"pixels"})
    batch_size: int = 4

    def open(self) -> Step:
        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            for sample in batch:
                if "raise" in sample.prompt:
                    raise RuntimeError("asked to raise")
                if "kill" in sample.prompt:
                    os.kill(os.getpid(), signal.SIGKILL)
                if "nan" in sample.prompt:
                    yield sample.with_(pixels=np.full((8, 8, 3), np.nan, dtype=np.float32))
                else:
                    yield sample

        return step


@dataclass(frozen=True, kw_only=True)
class DropThirds(Stage):
    """Drops every sample whose key is divisible by three."""

    def open(self) -> Step:
        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            return (sample for sample in batch if int(sample.key, 16) % 3)

        return step


@dataclass(frozen=True, kw_only=True)
class Broken(Stage):
    """Fails on everything."""

    def open(self) -> Step:
        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            raise RuntimeError("no sample can please me")

        return step


@dataclass(frozen=True, kw_only=True)
class FailWhileFileExists(Stage):
    """Fails on every fourth key as long as a file is there: a fault that can be mended."""

    file: str

    def open(self) -> Step:
        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            for sample in batch:
                if int(sample.key, 16) % 4 == 0 and Path(self.file).exists():
                    raise RuntimeError("still broken")
                yield sample

        return step
