"""The baseline that joins both after each was read by itself: one vector of the prompt beside one of the picture."""

from typing import ClassVar

import torch
from torch import Tensor

from classifiers.families.baseline import Baseline
from schemas.protocols import Inputs


class LateFusion(Baseline):
    """Judges the pair by both CLIP vectors side by side; no word ever meets a patch."""

    kind: ClassVar[str] = "late_fusion"
    reads: ClassVar[frozenset[str]] = frozenset({"prompt", "image"})
    scopes: ClassVar[tuple[str, ...]] = ("pair",)
    parts: ClassVar[int] = 2

    def vectors(self, inputs: Inputs, embeddings: Tensor | None = None) -> Tensor:
        """float32 [n, 2 x width]. Raises InputError for rows without pictures."""
        words = self.encoder.text(self.encode(inputs.prompts), embeddings)
        return torch.cat([words, self.encoder.image(self.pictures(inputs))], dim=1)
