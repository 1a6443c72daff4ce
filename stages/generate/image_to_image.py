"""Draw a picture anew after a prompt, starting from the picture that the sample has."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any, ClassVar

import numpy as np

from pipeline.stage import BadSamplesError, Step
from schemas.errors import InputError
from schemas.sample import Sample
from stages.generate.drawing import Drawing
from stages.generate.loading import Weights
from stages.generate.pipeline_directory import Size


@dataclass(frozen=True, kw_only=True)
class ImageToImage(Drawing):
    """Noise a picture to `strength` of the schedule and denoise it towards `generation_prompt` (SDEdit, Meng et al. 2022).

    `strength` in (0, 1]: near 0 keeps the picture, 1 forgets it; int(steps x strength) steps are run. A sample whose picture is
    not uint8 [height, width, 3] of the planned size is at fault: scaling it here would be another change.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"generation_prompt", "pixels"})
    strength: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.strength <= 1:
            raise InputError(f"strength is {self.strength}; expected a share of the schedule in (0, 1]")
        if self.steps is not None and int(self.steps * self.strength) < 1:
            raise InputError(f"{self.steps} steps at strength {self.strength} are no step at all; raise one of them")

    def weights(self) -> Weights:
        """As for text to image, if the family has an image-to-image form."""
        weights = super().weights()
        if weights.kind.image_to_image is None:
            raise InputError(f"--model {self.model}: a {weights.kind.name} has no image-to-image pipeline in diffusers")
        return weights

    def open(self) -> Step:
        """Load the pipeline; the step refuses pictures of another size before it draws."""
        directory = self.weights().directory
        draw = super().open()

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            sizes = {sample.key: directory.size(self.settings(sample.asked_settings).size) for sample in batch}
            bad = {sample.key: reason for sample in batch if (reason := _unfit(sample, sizes[sample.key]))}
            if bad:
                raise BadSamplesError(bad)
            yield from draw(batch)

        return step

    def prepare(self, pipeline: Any) -> Any:
        """The same parts in the image-to-image pipeline of their class."""
        from diffusers import AutoPipelineForImage2Image

        prepared = AutoPipelineForImage2Image.from_pipe(pipeline)
        if hasattr(prepared, "watermark"):
            prepared.watermark = None  # `settings.SWITCHED_OFF`, which this way of loading forgets
        prepared.set_progress_bar_config(disable=True)
        return prepared

    def inputs(self, weights: Weights, rows: Sequence[Sample], size: Size) -> dict[str, Any]:
        """The pictures as float32 [rows, 3, height, width] in [0, 1], and how much of them is to go."""
        import torch

        pictures = np.stack([sample.pixels for sample in rows if sample.pixels is not None])
        image = torch.from_numpy(pictures.astype(np.float32) / 255).permute(0, 3, 1, 2)
        width, height = size
        # Some would scale to the model's own side unless told a size, others take none.
        takes = "height" in signature(weights.kind.image_to_image.__call__).parameters
        sized = {"height": height, "width": width} if takes else {}
        return {"image": image, "strength": self.strength, **sized}


def _unfit(sample: Sample, size: Size) -> str | None:
    pixels, wanted = sample.pixels, (size[1], size[0], 3)
    if pixels is not None and pixels.dtype == np.uint8 and pixels.shape == wanted:
        return None
    description = "missing" if pixels is None else f"{pixels.dtype} {pixels.shape}"
    return f"the picture to start from is {description}, expected uint8 {wanted}"
