"""The nearest decision boundary in L-infinity (Moosavi-Dezfooli et al. 2016, section 2 with p = ∞, so q = 1)."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from stages.attack.pixel_attack import PixelAttack
from stages.attack.victim import Victim, within

NUDGE = (
    1e-4  # pixel units beyond the linear boundary: the authors' published code adds it so that a step of 0 cannot stall
)


def deep_fool(victim: Victim, steps: int = 50, overshoot: float = 0.02) -> Tensor:
    """Pixels [n, 3, h, w] in [0, 1] just beyond the boundary, at whatever distance that takes.

    Each step is r = |f| / ‖∇f‖₁ · sign(∇f): the dual of L-infinity is L1. (UnsafeBench's equation 5 prints the infinity norm.)
    """
    perturbed, rows = victim.clean.clone(), victim.all_rows()
    total = victim.clean.clone().zero_()
    for _ in range(steps):
        slope, _, lead = victim.gradient(perturbed[rows], rows)
        going = ~victim.fooled(lead, rows)
        rows, slope, lead = rows[going], slope[going], lead[going]
        if not len(rows):
            return perturbed
        norm = slope.flatten(1).abs().sum(1).clamp(min=1e-12)
        length = lead.abs() / norm + NUDGE
        total[rows] += length[:, None, None, None] * slope.sign()
        perturbed[rows] = (victim.clean[rows] + (1 + overshoot) * total[rows]).clamp(0, 1)
    return perturbed


@dataclass(frozen=True, kw_only=True)
class DeepFool(PixelAttack):
    """L-infinity DeepFool, projected to `epsilon` afterwards and judged again."""

    steps: int = 50
    overshoot: float = 0.02

    def perturb(self, victim: Victim, seeds: Sequence[int]) -> Tensor:
        """At most `steps` gradients a row."""
        return within(deep_fool(victim, self.steps, self.overshoot), victim.clean, self.epsilon)
