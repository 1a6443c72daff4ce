"""What every stage that draws with a diffusion pipeline shares: which weights, the fixed rows, the check of the result."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from pipeline.stage import BadSamplesError, Resources, Stage, Step
from schemas.errors import HazmatError, InputError
from schemas.identity import seed_of
from schemas.sample import READING, Sample
from stages.generate.loading import Weights, load
from stages.generate.prompt_tokens import text_encoders, with_reading

Pictures = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Drawing(Stage):
    """`model` is a diffusers directory or hub id; `unet` and `lora` are .safetensors files (or OWNER/NAME/FILE) for it.

    `scheduler` names one of `settings.SCHEDULES`, None keeps the model's own. `steps` and `guidance_scale` are the pipeline's
    own; models distilled to few steps take a guidance of 0. `size` None takes the model's own side in pixels.

    Every sample has its own CPU generator, seeded from its key; a batch always computes `batch_size` rows. Raises InputError
    for weights that cannot be loaded and for a size that cannot be drawn, before anything is loaded.
    """

    adds: ClassVar[frozenset[str]] = frozenset(
        {
            "pixels",
            "generator",
            "revision",
            "scheduler",
            "steps",
            "guidance_scale",
            "seed",
            "generation_prompt",
            *READING,
        }
    )
    resources: ClassVar[Resources] = Resources(cpus=1.0, accelerator=True)
    model: str = "assets/world/t2i"
    unet: str | None = None
    lora: str | None = None
    scheduler: str | None = None
    steps: int = 10
    guidance_scale: float = 3.0
    size: int | None = None
    batch_size: int = 16

    @abstractmethod
    def prepare(self, pipeline: Any) -> Any:
        """The loaded text-to-image pipeline as this stage calls it."""

    @abstractmethod
    def inputs(self, weights: Weights, rows: Sequence[Sample]) -> dict[str, Any]:
        """What the pipeline is called with beyond prompts, steps, guidance and generators."""

    def weights(self) -> Weights:
        """Find and check the weights, and that they can draw `size`; loads nothing."""
        weights = Weights.find(self.model, self.unet, self.lora, self.scheduler)
        weights.side(self.size)
        return weights

    def revision(self) -> str:
        """Digest of all weights; refuses what cannot be loaded."""
        return self.weights().digest()

    def open(self) -> Step:
        """Load the pipeline onto the accelerator if there is one."""
        weights = self.weights()
        side = weights.side(self.size)
        loaded = load(weights, side, self.steps)
        encoders = text_encoders(loaded, weights.family.call)
        pipeline = self.prepare(loaded)
        swapped = [part for part in (self.unet, self.lora) if part is not None]
        known = {
            "generator": "+".join([self.model, *swapped]),
            "revision": weights.digest(),
            "scheduler": type(pipeline.scheduler).__name__,
            "steps": self.steps,
            "guidance_scale": self.guidance_scale,
        }

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            pictures = self._draw(pipeline, weights, batch)
            if pictures.shape[1:] != (side, side, 3):
                raise HazmatError(f"{self.model} drew {pictures.shape[1:]}, expected {(side, side, 3)}; set its size")
            bad = {s.key: "the picture holds NaN" for s in batch if not np.isfinite(pictures[s.batch_row]).all()}
            if bad:
                raise BadSamplesError(bad)
            for sample in batch:
                pixels = (pictures[sample.batch_row] * 255).round().astype(np.uint8)
                yield with_reading(sample, encoders).with_(pixels=pixels, seed=seed_of(sample.key, self.name), **known)

        return step

    def _draw(self, pipeline: Any, weights: Weights, batch: Sequence[Sample]) -> Pictures:
        """float32 [batch_size, height, width, 3] in [0, 1]; rows without a sample repeat the first and are not used."""
        import torch

        rows = [batch[0]] * self.batch_size
        for sample in batch:
            rows[sample.batch_row] = sample
        generators = [torch.Generator("cpu").manual_seed(seed_of(sample.key, self.name)) for sample in rows]
        with torch.inference_mode():
            drawn: Pictures = pipeline(
                [sample.generation_prompt for sample in rows],
                num_inference_steps=self.steps,
                guidance_scale=self.guidance_scale,
                generator=generators,
                output_type="np",
                **self.inputs(weights, rows),
                **weights.family.call,
            ).images
        return drawn

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise InputError(f"steps is {self.steps}; a picture takes at least 1")
