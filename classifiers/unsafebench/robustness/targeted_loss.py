"""Equation 2 of UnsafeBench: a language model is led towards the opposite answer, not merely away from its own.

Moving away from "safe" may end in an answer about something else; so the likelihood of the target's word is raised.
"""

import torch
from torch import Tensor

from schemas.protocols import Differentiable, Inputs
from stages.attack.victim import Margins, Victim


class Targeted(Victim):
    """A victim whose margins are [m, 2]: the log-likelihoods of "safe" and of "unsafe". The decision is which is larger."""

    def _lead(self, margins: Tensor, rows: Tensor) -> Tensor:
        decided = margins[:, 1] - margins[:, 0]
        return torch.where(self.labels[rows] == 1, decided, -decided)

    def _loss(self, margins: Tensor, rows: Tensor, kind: str) -> Tensor:
        """log P(target): minus the loss that the equation minimises. `kind` makes no difference."""
        del kind
        return torch.where(self.labels[rows] == 1, margins[:, 0], margins[:, 1])


def likelihoods_of(target: Differentiable) -> Margins:
    """The target's two logits for any pictures."""

    def likelihoods(pixels: Tensor, rows: Tensor) -> Tensor:
        del rows  # the question is the same for all
        return target.logits(Inputs(("",) * len(pixels), pixels))

    return likelihoods
