"""PerspectiveVision's first baseline: a small MLP on CLIP's image vector for each category, trained independently."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from classifiers.classifier import Features
from classifiers.families.perspective import PerCategory
from classifiers.layers.encoder import ClipEncoder
from classifiers.layers.visual_words import VisualWords
from schemas.protocols import Inputs


class LinearProbe(PerCategory):
    """768-384-2 neurons on ViT-L/14 (appendix A.5); on another CLIP its width, half of it, and 2.

    With `words` the MLP reads besides how near each of so many visual words is to any patch: the one vector of a small CLIP
    has no room for two things (docs/results/world.md).
    """

    kind: ClassVar[str] = "linear_probe"

    def __init__(self, encoder: ClipEncoder, categories: Sequence[str], name: str, *, words: int = 0) -> None:
        super().__init__(encoder, categories, name)
        self.words = VisualWords(words, encoder.hidden[1]) if words else None
        width = encoder.width + words
        self.probes = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width // 2), nn.ReLU(), nn.Linear(width // 2, 2)) for _ in self.known
        )

    def features(self, inputs: Inputs, embeddings: Tensor | None = None) -> Features:
        """CLIP's vectors of the pictures, float32 [n, width], or [n, width + words]. A unit vector is brought to unit variance,
        about where the released code's raw features of ViT-L/14 lie: at a length of 1, thirty epochs at 2e-4 would barely
        move the first layer.
        """
        del embeddings  # the prompt is not read
        patches, vectors = self.encoder.patches(self.pictures(inputs))
        scaled = vectors * vectors.shape[1] ** 0.5
        return {"vectors": scaled if self.words is None else torch.cat([scaled, self.words(patches)], dim=1)}

    def category_logits(self, vectors: Tensor) -> Tensor:
        """float32 [n, all categories, 2]."""
        return torch.stack([probe(vectors) for probe in self.probes], dim=1)

    def settings(self) -> dict[str, Any]:
        """With what is read."""
        return {**super().settings(), "words": 0 if self.words is None else len(self.words.centres)}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], encoder: ClipEncoder, name: str) -> Self:
        """The shape that `settings` says, its weights still to be loaded."""
        model = cls(encoder, settings["categories"], name, words=settings.get("words", 0))
        model.threshold = settings["threshold"]
        return model
