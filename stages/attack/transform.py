"""What every change of a picture shares that anybody could make with an editor: no classifier, no budget, one setting."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from pipeline.stage import Resources, Step
from schemas.attack import AttackRecord
from schemas.errors import InputError
from schemas.identity import seed_of
from schemas.protocols import Attacked, Differentiable, Inputs
from schemas.sample import Pixels, Sample
from stages.attack.attack_stage import AttackStage


@dataclass(frozen=True, kw_only=True)
class Transform(AttackStage):
    """Changes every picture it is given; the threat is non-adaptive: it asks no classifier."""

    needs: ClassVar[frozenset[str]] = frozenset({"prompt", "pixels"})
    adds: ClassVar[frozenset[str]] = frozenset({"pixels", "attack"})
    resources: ClassVar[Resources] = Resources()
    family: ClassVar[str] = "image"
    controls: ClassVar[str] = "image"
    knowledge: ClassVar[str] = "non_adaptive"

    @abstractmethod
    def change(self, pixels: Pixels, seed: int) -> Pixels:
        """uint8 [height, width, 3] → uint8 of the same shape."""

    def open(self) -> Step:
        """Nothing to load."""

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            for sample in batch:
                assert sample.pixels is not None
                seed = seed_of(sample.key, self.name)
                # A scene is the truth of the picture that was drawn: a change that may cut something off must not carry it on.
                scene = sample.scene if self.preserves else None
                changed = self.change(sample.pixels, seed)
                yield self.variant(sample, pixels=changed, scene=scene, attack=self._record(seed))

        return step

    def attack(self, target: Differentiable, inputs: Inputs, labels: Tensor, keys: Sequence[str]) -> Attacked:
        """The contract's `Attack`: the target is not asked. Raises InputError without pictures."""
        if inputs.pixels is None:
            raise InputError(f"{self.name} changes pictures, and these rows have none")
        levels = (inputs.pixels * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        seeds = self.seeds(keys)
        changed = [self.change(np.ascontiguousarray(row), seed) for row, seed in zip(levels, seeds, strict=True)]
        pixels = torch.from_numpy(np.stack(changed)).permute(0, 3, 1, 2).to(inputs.pixels) / 255
        goals = [self.goal(int(label), target) for label in labels]
        records = tuple(replace(self._record(seed), goal=goal) for seed, goal in zip(seeds, goals, strict=True))
        return Attacked(replace(inputs, pixels=pixels), records)

    def _record(self, seed: int) -> AttackRecord:
        return AttackRecord(
            name=self.name,
            family=self.family,
            goal="evade_image",
            knowledge=self.knowledge,
            controls=self.controls,
            preserves=self.preserves,
            success="bypassed_and_preserved",
            seed=seed,
            parameters=self.parameters(),
        )
