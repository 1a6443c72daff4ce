"""The baseline that reads the prompt alone: what joint classifiers have to beat."""

from typing import ClassVar

from torch import Tensor

from classifiers.families.baseline import Baseline
from schemas.protocols import Inputs


class Text(Baseline):
    """Judges the prompt by CLIP's text vector."""

    kind: ClassVar[str] = "text"
    reads: ClassVar[frozenset[str]] = frozenset({"prompt"})
    scopes: ClassVar[tuple[str, ...]] = ("prompt",)

    def vectors(self, inputs: Inputs, embeddings: Tensor | None = None) -> Tensor:
        """float32 [n, width]."""
        return self.encoder.text(self.encode(inputs.prompts), embeddings)
