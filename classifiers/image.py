"""The baseline that sees the picture alone."""

from typing import ClassVar

from torch import Tensor

from classifiers.baseline import Baseline
from classifiers.contract import Inputs
from schemas.errors import InputError


class Image(Baseline):
    """Judges the picture by CLIP's image vector."""

    kind: ClassVar[str] = "image"
    reads: ClassVar[frozenset[str]] = frozenset({"image"})
    scope: ClassVar[str] = "image"

    def features(self, inputs: Inputs, embeddings: Tensor | None = None) -> Tensor:
        """float32 [n, width]. Raises InputError for rows without pictures."""
        if inputs.pixels is None:
            raise InputError(f"{self.name} judges pictures, and these rows have none")
        return self.encoder.image(inputs.pixels)
