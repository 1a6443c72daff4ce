"""Draw pictures with any text-to-image directory that `diffusers` can load and `settings` knows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from schemas.sample import Sample
from stages.generate.drawing import Drawing
from stages.generate.loading import Weights


@dataclass(frozen=True, kw_only=True)
class Diffusion(Drawing):
    """Text to image: Stable Diffusion 1.x, 2.x, 3.x and XL with its Turbo and Lightning forms, FLUX, PixArt."""

    needs: ClassVar[frozenset[str]] = frozenset({"generation_prompt"})

    def prepare(self, pipeline: Any) -> Any:
        """As it is."""
        return pipeline

    def inputs(self, weights: Weights, rows: Sequence[Sample]) -> dict[str, Any]:
        """The size, said outright: FLUX has none of its own."""
        side = weights.side(self.size)
        return {"height": side, "width": side}
