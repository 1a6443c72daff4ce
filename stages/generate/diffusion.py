"""Draw pictures with any text-to-image directory that `diffusers` can load."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from schemas.sample import Sample
from stages.generate.drawing import Drawing
from stages.generate.loading import Weights
from stages.generate.pipeline_directory import Size


@dataclass(frozen=True, kw_only=True)
class Diffusion(Drawing):
    """Text to image with any class that draws from a prompt alone (docs/reference/generators.md)."""

    needs: ClassVar[frozenset[str]] = frozenset({"generation_prompt"})
    ahead: ClassVar[bool] = True

    def prepare(self, pipeline: Any) -> Any:
        """As it is."""
        return pipeline

    def inputs(self, weights: Weights, rows: Sequence[Sample], size: Size) -> dict[str, Any]:
        """The size, said outright: FLUX has none of its own."""
        width, height = size
        own = {
            "height": height,
            "width": width,
            "max_area": height * width,
        }  # FLUX Kontext scales to an area unless told
        return {name: value for name, value in own.items() if name in weights.kind.accepts}
