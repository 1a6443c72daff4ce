"""The baseline that sees the picture alone."""

from typing import ClassVar

from torch import Tensor

from classifiers.families.baseline import Baseline
from schemas.protocols import Inputs


class Image(Baseline):
    """Judges the picture by CLIP's image vector."""

    kind: ClassVar[str] = "image"
    reads: ClassVar[frozenset[str]] = frozenset({"image"})
    scopes: ClassVar[tuple[str, ...]] = ("image",)

    def vectors(self, inputs: Inputs, embeddings: Tensor | None = None) -> Tensor:
        """float32 [n, width]. Raises InputError for rows without pictures."""
        return self.encoder.image(self.pictures(inputs))
