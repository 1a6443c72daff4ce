"""Attacks made against another classifier than the one that is judged (transfer, Papernot et al. 2016)."""

from typing import Any

import torch
from torch import Tensor

from schemas.protocols import Differentiable, Inputs

CONFIDENCE = 30.0  # of a margin: more than any classifier here is sure, and float32 still tells exp(-60) from nothing


class NeverFooled:
    """The other classifier, its margin moved out of reach, so that an attack on rows of `label` goes on to the end of its budget.

    What just gets past one model rarely gets past the next: transfer needs confidence (κ of Carlini & Wagner 2017, section V).
    """

    def __init__(self, scorer: Differentiable, label: int) -> None:
        self.scorer, self.label = scorer, label

    def logits(self, inputs: Inputs, embeddings: Tensor | None = None) -> Tensor:
        """float32 [n, 2]; the gradient is the classifier's own."""
        logits = self.scorer.logits(inputs, embeddings)
        away = CONFIDENCE if self.label == 1 else -CONFIDENCE
        return logits + torch.tensor([0.0, away], device=logits.device)

    def __getattr__(self, name: str) -> Any:
        """All else is the classifier's."""
        return getattr(self.scorer, name)
