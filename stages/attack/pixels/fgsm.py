"""One step along the sign of the gradient (Goodfellow et al. 2015, equation in section 4)."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from stages.attack.pixel_attack import PixelAttack
from stages.attack.victim import Victim, within


def fgsm(victim: Victim, epsilon: float) -> Tensor:
    """Pixels [n, 3, h, w] within `epsilon`; rows that are misjudged already stay as they are."""
    rows = victim.all_rows()
    slope, _, lead = victim.gradient(victim.clean, rows)
    moved = within(victim.clean + epsilon * slope.sign(), victim.clean, epsilon)
    return moved.where(~victim.fooled(lead, rows)[:, None, None, None], victim.clean)


@dataclass(frozen=True, kw_only=True)
class Fgsm(PixelAttack):
    """The fast gradient sign method: the floor below which no iterative attack may fall."""

    def perturb(self, victim: Victim, seeds: Sequence[int]) -> Tensor:
        """One gradient a row."""
        return fgsm(victim, self.epsilon)
