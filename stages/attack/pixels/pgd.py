"""Projected gradient ascent with random restarts (Madry et al. 2018, equation 1 of section 2.1)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from schemas.errors import InputError
from schemas.identity import seed_of
from stages.attack.pixel_attack import PixelAttack
from stages.attack.victim import Victim, within


@dataclass(frozen=True, kw_only=True)
class PGDConfig:
    """`steps` of size `step` (None: 2.5 ε / steps, Madry et al.: the edge can be reached from anywhere in the ball)."""

    steps: int = 20
    step: float | None = None
    restarts: int = 1
    random_start: bool = True
    loss: str = "margin"

    def step_size(self, epsilon: float) -> float:
        """In pixel units. Raises InputError for a step beyond the ball: iterates would jump from corner to corner."""
        size = 2.5 * epsilon / max(self.steps, 3) if self.step is None else self.step
        if self.steps > 1 and size > epsilon > 0:
            raise InputError(f"a step of {size} is more than epsilon {epsilon}; leave `step` out or make it smaller")
        return size


def pgd(victim: Victim, epsilon: float, seeds: Sequence[int], climb: PGDConfig) -> Tensor:
    """Pixels [n, 3, h, w] within `epsilon`: the first that fool, else those of the greatest loss over all restarts.

    `seeds`, one a row, feed the random starts. The first try starts at the clean picture where one restart is random:
    a random start alone can lose to FGSM.
    """
    best, rows = victim.clean.clone(), victim.all_rows()
    best_loss = torch.full((len(rows),), float("-inf"), device=best.device)
    if (
        climb.random_start and climb.restarts == 1 and len(rows)
    ):  # else the first try asks about the clean picture itself
        best_loss, lead = victim.loss(best, rows, climb.loss)
        rows = rows[~victim.fooled(lead, rows)]
    for restart in range(climb.restarts):
        random = climb.random_start and (restart > 0 or climb.restarts == 1)
        start = random_start(victim, epsilon, seeds, restart) if random else victim.clean
        rows = _climb(victim, start[rows], rows, epsilon, climb, best, best_loss)
    return best


def _climb(
    victim: Victim, pixels: Tensor, rows: Tensor, epsilon: float, climb: PGDConfig, best: Tensor, best_loss: Tensor
) -> Tensor:
    """One restart; writes what it finds into `best` and returns the rows that are not fooled yet. Overwrites `pixels`."""
    size = climb.step_size(epsilon)
    clean = victim.clean[rows]
    low, high = (clean - epsilon).clamp(min=0), (clean + epsilon).clamp(max=1)
    for step in range(climb.steps + 1):
        if not len(rows):
            break
        if step < climb.steps:
            slope, loss, lead = victim.gradient(pixels, rows, climb.loss)
        else:
            loss, lead = victim.loss(pixels, rows, climb.loss)
        fooled = victim.fooled(lead, rows)
        better = (loss > best_loss[rows]) | fooled
        best[rows[better]], best_loss[rows[better]] = pixels[better], loss[better]
        if fooled.any():
            rows, pixels, low, high = (kept[~fooled] for kept in (rows, pixels, low, high))
            slope = slope[~fooled]
        if step < climb.steps:
            pixels.add_(slope.sign_(), alpha=size).clamp_(
                low, high
            )  # in place: here copies cost as much as the network
    return rows


def random_start(victim: Victim, epsilon: float, seeds: Sequence[int], restart: int) -> Tensor:
    """Uniform in the ball, each row from its own seed."""
    shape = victim.clean.shape[1:]
    noise = [_uniform(seed_of(str(seed), f"restart {restart}"), shape) for seed in seeds]
    offset = torch.stack(noise).to(victim.clean.device) if noise else torch.zeros_like(victim.clean)
    return within(victim.clean + epsilon * offset, victim.clean, epsilon)


def _uniform(seed: int, shape: torch.Size) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@dataclass(frozen=True, kw_only=True)
class Pgd(PixelAttack):
    """PGD; 20 steps x 5 restarts is what robust training and evaluation commonly use."""

    climb: PGDConfig = PGDConfig(steps=20, restarts=5)

    def perturb(self, victim: Victim, seeds: Sequence[int]) -> Tensor:
        """At most restarts x (steps + 1) queries a row."""
        return pgd(victim, self.epsilon, seeds, self.climb)
