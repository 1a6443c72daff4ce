"""One step of training and the held-out figures; `stages.world.training.loop` does the rest."""

from collections.abc import Iterator
from itertools import count as count_from
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from classifiers.layers.concept_reader import ConceptNet
from classifiers.training.concept_reader.attack import LEVEL, Strength, attacked, on_concepts
from classifiers.training.concept_reader.scenes import ConceptPictures, draw_batch, reader_config
from stages.world.training.loop import progress_of

AHEAD = 3  # batches drawn before they are asked for, by one process
# Of the budget: until when pictures are left alone (learning to see first costs the least), until when ε grows, and from when
# the attacker takes two steps.
ALONE, GROWN, LATE = 0.4, 0.5, 0.85
CONCEPTS, CELLS, UNSAFE = 50.0, 0.5, 1.0  # weights of the losses; of the 145 concepts one or two are shown, hence 50
GENERATED = 0.12  # of the rows, pictures that the embedded model drew, where there are any
VALIDATION_SEED, VALIDATION = 90_023, 384


class ConceptBatch(NamedTuple):
    """Pixels float32 [n, 3, 64, 64] in [0, 1], concepts float32 [n, concepts], cells int64 [n, 8, 8], unsafe bool [n]."""

    pixels: Tensor
    concepts: Tensor
    cells: Tensor
    unsafe: Tensor


def as_batch(pictures: ConceptPictures, reader: ConceptNet) -> ConceptBatch:
    """As tensors, with the truth that the rules give."""
    concepts = torch.from_numpy(pictures.concepts)
    pixels = torch.from_numpy(pictures.pixels).permute(0, 3, 1, 2).float().mul_(LEVEL)
    unsafe = (concepts[:, reader.first.cpu()] & concepts[:, reader.second.cpu()]).any(1)
    return ConceptBatch(pixels, concepts.float(), torch.from_numpy(pictures.cells), unsafe)


def _draw(seed: int, number: int, count: int, generated: str | None) -> ConceptPictures:
    """Batch `number` of the stream of `seed`."""
    share = round(count * GENERATED) if generated else 0
    drawn = draw_batch((seed, number), count - share)
    if not share or generated is None:
        return drawn
    kept = np.load(generated)
    rows = np.random.default_rng([seed, number, 1]).choice(len(kept["pixels"]), share)
    unknown = np.full((share, *drawn.cells.shape[1:]), -1)
    return ConceptPictures(
        np.concatenate([drawn.pixels, kept["pixels"][rows]]),
        np.concatenate([drawn.concepts, kept["concepts"][rows]]),
        np.concatenate([drawn.cells, unknown]),
    )


class Stream(IterableDataset[ConceptPictures]):
    """Batches from `start` on, without an end; each is a function of the seed and its number alone."""

    def __init__(self, seed: int, count: int, start: int, generated: str | None) -> None:
        self.seed, self.count, self.start, self.generated = seed, count, start, generated

    def __iter__(self) -> Iterator[ConceptPictures]:
        return (_draw(self.seed, number, self.count, self.generated) for number in count_from(self.start))


def drawn_ahead(stream: Stream) -> Iterator[ConceptPictures]:
    """The stream, drawn by another process while this one trains."""
    return iter(DataLoader(stream, None, num_workers=1, prefetch_factor=AHEAD, multiprocessing_context="spawn"))


class ReaderTraining:
    """What the loop asks of a part: a module, its loss on the next batch, and its held-out figures."""

    name = "concept_reader"
    batch = 32
    peak_rate = 2e-3
    hold = 0.45

    def __init__(self, work: Path, seed: int, generated: Path | None = None) -> None:
        torch.manual_seed(seed)
        # A third faster on a CPU; torch's own types know no memory format of a module.
        self.reader = ConceptNet(reader_config()).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.module: nn.Module = self.reader
        progress = progress_of(work, self.name)
        done = 0 if progress is None else progress.step
        self.stream = drawn_ahead(Stream(seed, self.batch, done, None if generated is None else str(generated)))

    def strength(self, fraction: float) -> Strength:
        """ε grows at first, two steps come late: a single step is enough for most of the way, and half as dear."""
        grown = min(1.0, (fraction - ALONE) / (GROWN - ALONE))
        return Strength(most=LEVEL * (1 + 3.5 * grown), steps=2 if fraction > LATE else 1)

    def loss(self, rng: np.random.Generator, fraction: float) -> dict[str, Tensor]:
        """Binary cross-entropy of concepts and of unsafe, cross-entropy of cells; all of attacked pictures."""
        batch = as_batch(next(self.stream), self.reader)
        pixels = batch.pixels
        if fraction > ALONE:
            generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
            objective = on_concepts(self.reader, batch.concepts, batch.unsafe, generator)
            pixels = attacked(self.reader, pixels, batch.unsafe, self.strength(fraction), generator, objective)
        with torch.autocast(pixels.device.type, torch.bfloat16):
            reading = self.reader.read(pixels)
        concepts = F.binary_cross_entropy_with_logits(reading.concepts, batch.concepts) * CONCEPTS
        cells = F.cross_entropy(reading.cells, batch.cells, ignore_index=-1)
        unsafe = F.binary_cross_entropy_with_logits(self.reader.unsafe(reading.concepts), batch.unsafe.float())
        return {
            "loss": concepts + CELLS * cells + UNSAFE * unsafe,
            "concepts": concepts,
            "cells": cells,
            "unsafe": unsafe,
        }

    def measure(self, module: nn.Module) -> dict[str, float]:
        """On fixed fresh scenes: recall at a false-positive rate of 3 %, clean and after five steps at 2/255 and 4/255."""
        assert isinstance(module, ConceptNet)
        batch = as_batch(draw_batch((VALIDATION_SEED,), VALIDATION, degraded=False), module)
        clean = scores_of(module, batch.pixels)
        cut = torch.quantile(clean[~batch.unsafe], 0.97)
        figures = {"recall": float((clean[batch.unsafe] > cut).float().mean())}
        for level in (2, 4):
            strength = Strength(least=level * LEVEL, most=level * LEVEL, clean=0.0, on_safe=1.0, steps=5)
            generator = torch.Generator().manual_seed(level)
            moved = [
                attacked(module, part, truth, strength, generator)
                for part, truth in zip(torch.split(batch.pixels, 64), torch.split(batch.unsafe, 64), strict=True)
            ]
            scores = scores_of(module, torch.cat(moved))
            figures[f"recall_{level}"] = float((scores[batch.unsafe] > cut).float().mean())
            figures[f"false_flags_{level}"] = float((scores[~batch.unsafe] > cut).float().mean())
        return figures


@torch.no_grad()
def scores_of(network: ConceptNet, pixels: Tensor) -> Tensor:
    """Unsafe logits, float32 [n]."""
    return torch.cat([network.unsafe(network(part)) for part in torch.split(pixels, 64)])
