"""What every attack within a budget of pixels shares: pictures in and out, the budget on stored pictures, the record."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from pipeline.stage import Step
from schemas.attack import AttackRecord
from schemas.device import best_device
from schemas.errors import InputError
from schemas.protocols import Attacked, Differentiable, Inputs, SettledByWords
from schemas.sample import Sample
from stages.attack.attack_stage import AttackStage
from stages.attack.victim import LEVELS, SLACK, Margins, Victim, at_rest


@dataclass(frozen=True, kw_only=True)
class PixelAttack(AttackStage):
    """`epsilon` is L-infinity in [0, 1] at the source picture. With `as_stored` (the rule) the attack sees and is judged on whole
    8-bit levels, rounded towards the parent: the budget then is floor(255 ε) levels, 0.01 is 2 of them. Store it lossless.

    `tile` is the fixed number of rows computed at once.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"prompt", "pixels"})
    adds: ClassVar[frozenset[str]] = frozenset({"pixels", "attack"})
    family: ClassVar[str] = "image"
    controls: ClassVar[str] = "image"
    epsilon: float = 4 / 255
    as_stored: bool = True
    tile: int = 16
    batch_size: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.epsilon <= 1:
            raise InputError(f"{self.name}: epsilon is {self.epsilon}; expected pixel units in [0, 1], say 4 / 255")
        if self.as_stored:
            refuse_below_a_level(self.name, self.epsilon)

    @abstractmethod
    def perturb(self, victim: Victim, seeds: Sequence[int]) -> Tensor:
        """Pixels [n, 3, h, w] within the budget; called inside `at_rest`."""

    def attack(self, target: Differentiable, inputs: Inputs, labels: Tensor, keys: Sequence[str]) -> Attacked:
        """The contract's `Attack`. Raises InputError if the target reads no picture."""
        pixels = inputs.pixels
        if pixels is None or "image" not in target.coverage.reads:
            raise InputError(f"{self.name} changes pictures, and {target.name} reads {sorted(target.coverage.reads)}")
        with at_rest(target):
            victim = Victim(margins_of(target, inputs), pixels, labels, tile=self.tile, as_stored=self.as_stored)
            perturbed = self._moved(target, inputs, labels, keys, victim)
            rows = victim.all_rows()
            stored = victim.stored(perturbed, rows) if self.as_stored else perturbed
            fooled = victim.fooled(victim.margin(stored, rows), rows).tolist()
        distance = (stored - pixels).abs().flatten(1).amax(1).tolist() if len(pixels) else []
        shared = self._record(target)
        records = tuple(
            replace(
                shared,
                goal=self.goal(int(labels[row]), target),
                distance=distance[row],
                queries=int(victim.queries[row]) - 1,  # the last question was ours
                achieved=fooled[row],
                seed=self.seeds(keys[row : row + 1])[0],
            )
            for row in range(len(keys))
        )
        return Attacked(replace(inputs, pixels=stored), records)

    def _moved(
        self, target: Differentiable, inputs: Inputs, labels: Tensor, keys: Sequence[str], victim: Victim
    ) -> Tensor:
        """The pictures after the attack. Those of rows that no picture can turn stay: nothing is spent on them."""
        pixels = victim.clean
        settled = hopeless(target, inputs.prompts, labels)
        left = (~settled).nonzero().flatten().tolist()
        if self.epsilon == 0 or not left:
            return pixels.clone()
        if len(left) == len(pixels):
            return self.perturb(victim, self.seeds(keys))
        rows, kept = inputs.rows(left), [keys[row] for row in left]
        part = Victim(margins_of(target, rows), pixels[left], labels[left], tile=self.tile, as_stored=self.as_stored)
        perturbed = pixels.clone()
        perturbed[left] = self.perturb(part, self.seeds(kept))
        victim.queries[left] += part.queries
        return perturbed

    def _record(self, target: Differentiable) -> AttackRecord:
        return AttackRecord(
            name=self.name,
            family=self.family,
            goal="evade_image",
            knowledge=self.knowledge,
            controls=self.controls,
            preserves=self.preserves,
            adaptive=self.knowledge != "non_adaptive",
            target=None if self.target is None else self.target.digest(),
            norm="linf",
            epsilon=self.epsilon,
            success="bypassed",
            parameters=self.parameters(),
        )

    def open(self) -> Step:
        """Load the target; samples that the aim passes over give no variant."""
        target = self.loaded_target()

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            for _, same in groupby(batch, key=lambda sample: _shape(sample)):
                yield from self._variants(target, list(same))

        return step

    def _variants(self, target: Differentiable, batch: Sequence[Sample]) -> Iterator[Sample]:
        inputs = to_inputs(batch)
        with at_rest(target):
            victim = Victim(margins_of(target, inputs), _pixels(inputs), torch.zeros(len(batch)).long(), tile=self.tile)
            flagged = (victim.margins(victim.clean, victim.all_rows()).max(dim=1).values > 0).long()
        chosen = [row for row in range(len(batch)) if self.wanted(bool(flagged[row]))]
        if not chosen:
            return
        attacked = self.attack(target, inputs.rows(chosen), flagged[chosen], [batch[row].key for row in chosen])
        levels = (_pixels(attacked.inputs) * LEVELS).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        for row, pixels, record in zip(chosen, levels, attacked.records, strict=True):
            yield self.variant(batch[row], pixels=np.ascontiguousarray(pixels), attack=record)


def hopeless(target: Differentiable, prompts: Sequence[str], labels: Tensor) -> Tensor:
    """bool [n]: unsafe rows that the target proves to be flagged whatever their picture is (`SettledByWords`)."""
    if not isinstance(target, SettledByWords):
        return torch.zeros(len(prompts), dtype=torch.bool)
    return target.settled(prompts).cpu() & (labels.cpu() == 1)


def refuse_below_a_level(name: str, epsilon: float) -> None:
    """Raises InputError for a budget in which no pixel of a stored picture can change: its variants would be copies. 0 is no
    budget at all, which is how attacks are checked.
    """
    if 0 < epsilon * LEVELS < 1 - SLACK:
        raise InputError(
            f"{name}: epsilon {epsilon:g} is below one grey level of a stored picture (1/255 = {1 / LEVELS:.5f}), so that its "
            "variants would equal their parents; give at least 1/255"
        )


def margins_of(target: Differentiable, inputs: Inputs) -> Margins:
    """The target's margin for pictures put into the rows of `inputs`."""

    def margins(pixels: Tensor, rows: Tensor) -> Tensor:
        logits = target.logits(replace(inputs.rows(rows.tolist()), pixels=pixels))
        return logits[:, 1] - logits[:, 0]

    return margins


def to_inputs(batch: Sequence[Sample]) -> Inputs:
    """Samples whose pictures share a shape, as rows, where targets lie."""
    pictures = np.stack([sample.pixels for sample in batch if sample.pixels is not None])
    pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).to(best_device(), torch.float32) / LEVELS
    return Inputs(tuple(sample.prompt for sample in batch), pixels)


def _pixels(inputs: Inputs) -> Tensor:
    assert inputs.pixels is not None
    return inputs.pixels


def _shape(sample: Sample) -> tuple[int, ...]:
    assert sample.pixels is not None
    return sample.pixels.shape
