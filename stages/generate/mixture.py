"""Several generators in one run with stated shares: each sample goes through exactly one, chosen by a hash of its key."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from pipeline.stage import Resources, Stage, Step, least
from schemas.errors import InputError
from schemas.generation import settings_of
from schemas.identity import seed_of
from schemas.sample import READING, Sample
from stages.generate.diffusion import Diffusion
from stages.generate.render import Render


@dataclass(frozen=True, slots=True)
class Part:
    """A generator and its share of the samples, in any unit: shares are divided by their sum."""

    generator: Stage
    share: float


Parts = tuple[Part, ...]
DRAWN = frozenset({"pixels", "generator", "revision", "seed"})
"""What every part adds; of what an encoder read only those with an encoder can tell."""
HALVES: Parts = (Part(Diffusion(), 0.5), Part(Render(), 0.5))


def part_of(key: str, parts: Parts) -> int:
    """Which part draws the sample; depends on the key and the shares alone, so no order and no engine changes it."""
    point = seed_of(key, "mixture") / 2**63 * sum(part.share for part in parts)
    for index, part in enumerate(parts[:-1]):
        point -= part.share
        if point < 0:
            return index
    return len(parts) - 1


def part_for(sample: Sample, parts: Parts) -> int:
    """Which part draws the sample: the one that it asks for (`ChooseModel`), else by its key."""
    model = settings_of(sample.asked_settings).model
    if model is None:
        return part_of(sample.key, parts)
    for index, part in enumerate(parts):
        if getattr(part.generator, "model", None) == model:
            return index
    raise InputError(f"model {model}: no part of this mixture draws with it")


def _check(parts: Parts) -> None:
    if not parts or any(part.share <= 0 for part in parts):
        raise InputError(f"the shares of a mixture are {[part.share for part in parts]}; each must be above 0")
    for part in parts:
        missing = DRAWN - part.generator.adds
        if missing or part.generator.needs - Mixture.needs:
            raise InputError(f"{part.generator!r} does not draw from a prompt alone, or does not say {sorted(missing)}")


@dataclass(frozen=True, kw_only=True)
class SortByPart(Stage):
    """Put samples of one part of the following `Mixture` next to each other, so that its batches are of one part but for the last.

    Only saves time: a batch of two parts is computed by both. `batch_size` should hold all samples of a unit.
    """

    parts: Parts = HALVES
    batch_size: int = 1024

    def open(self) -> Step:
        """Nothing to load."""
        _check(self.parts)

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            return iter(sorted(batch, key=lambda sample: part_for(sample, self.parts)))

        return step


@dataclass(frozen=True, kw_only=True)
class Mixture(Stage):
    """Draw each sample with the one of `parts` that its key falls to.

    A part's own `batch_size` gives way to this one, so that a sample keeps its row. All parts are open in one worker: their weights
    must fit its memory together. Generators are told apart in the rows by `generator` and `revision`.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"generation_prompt"})
    adds: ClassVar[frozenset[str]] = frozenset(
        {"pixels", "generator", "revision", "seed", "generation_prompt", *READING}
    )
    resources: ClassVar[Resources] = Resources(cpus=1.0, accelerator=True)
    parts: Parts = HALVES
    batch_size: int = 16

    def __post_init__(self) -> None:
        _check(self.parts)

    def expected_seconds(self, on_cpu: bool) -> float:
        """Of the parts, by their shares."""
        shares = sum(part.share for part in self.parts)
        return sum(part.share / shares * part.generator.expected_seconds(on_cpu) for part in self.parts)

    @property
    def level(self) -> str:
        """Of the part that least of can be made again."""
        return least(*(part.generator.level for part in self.parts))

    def revision(self) -> str:
        """The parts' own; refuses what one of them refuses."""
        return json.dumps([part.generator.describe() for part in self.parts], sort_keys=True)

    def batches(self, samples: Sequence[Sample]) -> Iterator[list[Sample]]:
        """Each of one part, and of rows that it draws in one call; where no row asks for anything, as they come."""
        if all(sample.asked_settings is None for sample in samples):
            yield from super().batches(samples)
            return
        for index, part in enumerate(self.parts):
            mine = [sample for sample in samples if part_for(sample, self.parts) == index]
            yield from replace(part.generator, batch_size=self.batch_size).batches(mine)

    def open(self) -> Step:
        """Open every part."""
        steps = [replace(part.generator, batch_size=self.batch_size).open() for part in self.parts]

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            drawn: dict[str, list[Sample]] = {}
            for index, draw in enumerate(steps):
                mine = [sample for sample in batch if part_for(sample, self.parts) == index]
                for child in draw(mine) if mine else ():
                    drawn.setdefault(child.key, []).append(child)
            return (child for sample in batch for child in drawn.get(sample.key, ()))

        return step
