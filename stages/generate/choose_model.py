"""Say which of several generators draws each picture: weighted, and evenly over prompts of every kind."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pipeline.stage import Resources, Stage, Step
from schemas.distribution import Choice
from schemas.generation import GenerationSettings, settings_of
from schemas.identity import derived_key, seed_of
from schemas.sample import Sample

GOLDEN = (5**0.5 - 1) / 2
"""Multiples of it, modulo 1, fill [0, 1) as evenly as any sequence does (Weyl 1916): neighbours fall to different parts."""


@dataclass(frozen=True, kw_only=True)
class ChooseModel(Stage):
    """Ask for one of `models` (a `Choice` of their names) for each sample, by its key alone within its unit.

    Samples are taken by what their prompts claim (source, category, label) and by prompt, so that each of the models gets its
    share of each kind, and pictures of one prompt are drawn by different ones. A model that a row asks for already stays: a
    variant is drawn by its parent's.
    """

    adds: ClassVar[frozenset[str]] = frozenset({"asked_settings"})
    resources: ClassVar[Resources] = Resources(cpus=0.0)
    models: Choice
    batch_size: int = 4096  # a unit at once

    def open(self) -> Step:
        """Nothing to load."""

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            strata: dict[tuple[str | None, ...], list[Sample]] = defaultdict(list)
            for sample in batch:
                if settings_of(sample.asked_settings).model is None:
                    strata[sample.source, sample.category, sample.label].append(sample)
            chosen = {key: model for stratum in strata.values() for key, model in self._shared_out(stratum)}
            for sample in batch:
                settings = settings_of(sample.asked_settings).over(GenerationSettings(model=chosen.get(sample.key)))
                yield sample.with_(asked_settings=settings.to_json())

        return step

    def _shared_out(self, stratum: Sequence[Sample]) -> Iterator[tuple[str, str]]:
        """Key and model of each; where the sequence begins is drawn, so that small strata do not all fall to the first model."""
        ordered = sorted(stratum, key=lambda sample: (derived_key(sample.root, "turn"), sample.key))
        start = seed_of(ordered[0].root, "first turn") / 2**63
        return ((sample.key, self.models.at((start + turn * GOLDEN) % 1)) for turn, sample in enumerate(ordered))
