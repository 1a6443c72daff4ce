"""What the three baselines share: vectors of a CLIP and one small head for one scope."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from classifiers.classifier import Classifier, Features
from classifiers.layers.encoder import ClipEncoder
from schemas.protocols import Inputs

HIDDEN = 256  # units of the head


class Baseline(Classifier):
    """CLIP's vectors → LayerNorm → one hidden layer → the margin and a logit for each category."""

    parts: ClassVar[int] = 1  # CLIP vectors that the head sees

    def __init__(self, encoder: ClipEncoder, categories: Sequence[str], name: str) -> None:
        super().__init__(encoder, categories, name)
        width = self.parts * encoder.width
        # Unit vectors of a CLIP lie close together; without the norm the head would have to learn their scale first.
        self.head = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, 1 + len(categories))
        )

    @abstractmethod
    def vectors(self, inputs: Inputs, embeddings: Tensor | None = None) -> Tensor:
        """float32 [n, parts x width]."""

    def features(self, inputs: Inputs, embeddings: Tensor | None = None) -> Features:
        """`vectors`."""
        return {"vectors": self.vectors(inputs, embeddings)}

    def verdicts(self, features: Features) -> dict[str, Tensor]:
        """One scope."""
        return {self.scope: self.head(features["vectors"])}
