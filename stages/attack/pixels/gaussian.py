"""Noise that knows nothing of the classifier: what any robustness figure is to be held against."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from stages.attack.pixel_attack import PixelAttack
from stages.attack.victim import Victim, within


def gaussian(clean: Tensor, sigma: float, epsilon: float | None, seeds: Sequence[int]) -> Tensor:
    """`clean` plus N(0, sigma²) from each row's seed, kept within `epsilon` if one is given, in [0, 1]."""
    if not len(clean):
        return clean
    noise = [torch.randn(clean.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    noisy = clean + sigma * torch.stack(noise).to(clean.device)
    return noisy.clamp(0, 1) if epsilon is None else within(noisy, clean, epsilon)


@dataclass(frozen=True, kw_only=True)
class Gaussian(PixelAttack):
    """Gaussian noise of standard deviation `epsilon`, cut off at `epsilon`, so that it has the budget of the others."""

    knowledge: ClassVar[str] = "non_adaptive"

    def perturb(self, victim: Victim, seeds: Sequence[int]) -> Tensor:
        """Asks nothing."""
        return gaussian(victim.clean, self.epsilon, self.epsilon, seeds)
