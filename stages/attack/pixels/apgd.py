"""Auto-PGD: momentum, and a step that halves where progress stalls (Croce & Hein 2020, algorithm 1)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from stages.attack.pixel_attack import PixelAttack
from stages.attack.pixels.pgd import random_start
from stages.attack.victim import Victim, within

MOMENTUM = 0.75  # α of the paper
SUCCESSES = 0.75  # ρ: share of steps that must raise the loss between two checkpoints


def checkpoints(steps: int) -> list[int]:
    """The iterations at which the step may halve: p₀ = 0, p₁ = 0.22, pⱼ₊₁ = pⱼ + max(pⱼ − pⱼ₋₁ − 0.03, 0.06)."""
    shares = [0.0, 0.22]
    while shares[-1] < 1:
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - 0.03, 0.06))
    return [math.ceil(round(share * steps, 6)) for share in shares if share <= 1]


@dataclass
class _APGDState:
    """One row a sample; `last` is the picture before `now`. Steps are in pixel units."""

    rows: Tensor
    now: Tensor
    last: Tensor
    step: Tensor
    best: Tensor
    best_loss: Tensor
    before_loss: Tensor
    raised: Tensor
    halved: Tensor = field(init=False)
    best_at_checkpoint: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.halved = torch.zeros_like(self.raised, dtype=torch.bool)
        self.best_at_checkpoint = self.best_loss.clone()

    def keep(self, going: Tensor) -> None:
        """Finished rows leave."""
        for name, value in vars(self).items():
            setattr(self, name, value[going])


def apgd(
    victim: Victim,
    epsilon: float,
    *,
    steps: int = 100,
    loss: str = "margin",
    start: Tensor | None = None,
    rows: Tensor | None = None,
) -> Tensor:
    """Pixels [n, 3, h, w] within `epsilon`; `loss` is `ce` or `margin` (DLR is not defined for two classes).

    Only those of `rows` (default: all) are moved. `start` is a point in the ball, one a row; by default the clean picture (the
    paper's runs start there or at random).
    """
    best, rows = (victim.clean if start is None else start).clone(), victim.all_rows() if rows is None else rows
    now = best[rows]
    slope, value, lead = victim.gradient(now, rows, loss)
    size = torch.full_like(value, 2 * epsilon)
    state = _APGDState(rows, now, now.clone(), size, now.clone(), value, value.clone(), torch.zeros_like(value))
    slope = slope[_finish(victim, state, lead, best)]
    marks = checkpoints(steps)
    for iteration in range(1, steps + 1):
        if not len(state.rows):
            break
        _move(victim, state, slope, epsilon, first=iteration == 1)
        slope, value, lead = victim.gradient(state.now, state.rows, loss)
        _score(state, value)
        going = _finish(victim, state, lead, best)
        slope = slope[going]
        if iteration in marks and iteration > marks[0]:
            slope = _checkpoint(victim, state, slope, loss, iteration - max(m for m in marks if m < iteration))
    best[state.rows] = state.best
    return best


def _move(victim: Victim, state: _APGDState, slope: Tensor, epsilon: float, first: bool) -> None:
    """Equations of section 3.1: z is a plain step, the new point leans on the last one's direction."""
    clean = victim.clean[state.rows]
    plain = within(state.now + state.step[:, None, None, None] * slope.sign(), clean, epsilon)
    lean = 1.0 if first else MOMENTUM
    moved = within(state.now + lean * (plain - state.now) + (1 - lean) * (state.now - state.last), clean, epsilon)
    state.last, state.now = state.now, moved


def _score(state: _APGDState, value: Tensor) -> None:
    state.raised += (value > state.before_loss).to(state.raised.dtype)
    better = value > state.best_loss
    state.best = torch.where(better[:, None, None, None], state.now, state.best)
    state.best_loss = torch.where(better, value, state.best_loss)
    state.before_loss = value


def _finish(victim: Victim, state: _APGDState, lead: Tensor, best: Tensor) -> Tensor:
    """Write down the rows that fool, let them leave, and say which stay."""
    fooled = victim.fooled(lead, state.rows)
    best[state.rows[fooled]] = state.now[fooled]
    state.keep(~fooled)
    return ~fooled


def _checkpoint(victim: Victim, state: _APGDState, slope: Tensor, loss: str, passed: int) -> Tensor:
    """Conditions 1 and 2 of section 3.2: halve the step and go on from the best point. Returns the gradient to go on with."""
    stuck = ~state.halved & (state.best_loss <= state.best_at_checkpoint)
    halve = (state.raised < SUCCESSES * passed) | stuck
    state.step = torch.where(halve, state.step / 2, state.step)
    state.halved, state.best_at_checkpoint = halve, state.best_loss.clone()
    state.raised = torch.zeros_like(state.raised)
    if halve.any():
        state.now = torch.where(halve[:, None, None, None], state.best, state.now)
        state.last = torch.where(halve[:, None, None, None], state.best, state.last)
        again, value, _ = victim.gradient(state.now[halve], state.rows[halve], loss)
        slope, state.before_loss = slope.clone(), state.before_loss.clone()
        slope[halve], state.before_loss[halve] = again, value
    return slope


@dataclass(frozen=True, kw_only=True)
class Apgd(PixelAttack):
    """APGD with cross-entropy (`ce`) or the logit margin (`margin`); the first of `restarts` starts clean, the others at random."""

    steps: int = 50
    loss: str = "margin"
    restarts: int = 1

    def perturb(self, victim: Victim, seeds: Sequence[int]) -> Tensor:
        """At most 1.3 x steps gradients a row and restart; the first that fools, else the last of the greatest loss."""
        best = apgd(victim, self.epsilon, steps=self.steps, loss=self.loss)
        for restart in range(1, self.restarts):
            loss, margin = victim.loss(best, victim.all_rows(), self.loss)
            left = (~victim.fooled(margin, victim.all_rows())).nonzero().flatten()
            if not len(left):
                break
            start = random_start(victim, self.epsilon, seeds, restart)
            perturbed = apgd(victim, self.epsilon, steps=self.steps, loss=self.loss, start=start, rows=left)
            again, margin = victim.loss(perturbed[left], left, self.loss)
            better = left[(again > loss[left]) | victim.fooled(margin, left)]
            best[better] = perturbed[better]
        return best
