"""A scorer in half precision, for attacks on pictures: where processors multiply bfloat16 that is some five times as fast."""

from typing import Any

import torch
from torch import Tensor

from schemas.protocols import Differentiable, Inputs

DOUBT = 0.1  # of a margin, by which bfloat16 may be wrong: attacks go on until they are past by so much


class HalfPrecision:
    """What the attack sees while it climbs. Whether its picture gets past is asked of the scorer itself, in full precision.

    `label` (1: unsafe) is that of the rows attacked: their margin is moved away by DOUBT, so that an attack does not stop where
    only rounding lets it pass.
    """

    def __init__(self, scorer: Differentiable, label: int) -> None:
        self.scorer, self.label = scorer, label

    def logits(self, inputs: Inputs, embeddings: Tensor | None = None) -> Tensor:
        """float32 [n, 2]."""
        kind = "cpu" if inputs.pixels is None else inputs.pixels.device.type
        with torch.autocast(kind, torch.bfloat16):
            logits = self.scorer.logits(inputs, embeddings)
        away = DOUBT if self.label == 1 else -DOUBT
        return logits.float() + torch.tensor([0.0, away], device=logits.device)

    def __getattr__(self, name: str) -> Any:
        """All else is the scorer's."""
        return getattr(self.scorer, name)
