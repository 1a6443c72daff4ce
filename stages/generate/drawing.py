"""What every stage that draws with a diffusion pipeline shares: which weights, the fixed rows, the check of the result."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from pipeline.stage import BadSamplesError, Resources, Stage, Step
from schemas.errors import HazmatError, InputError
from schemas.sample import READING, Sample
from stages.generate.loading import Weights, load
from stages.generate.pipeline_directory import Size
from stages.generate.prompt_tokens import text_encoders, with_reading

Pictures = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Drawing(Stage):
    """`model` is a diffusers directory or hub id; `unet` and `lora` are .safetensors files (or OWNER/NAME/FILE) for it.

    `scheduler` names one of `settings.SCHEDULES`, None keeps the model's own. `steps` and `guidance_scale` are the pipeline's
    own, None what its family or itself has by default; models distilled to few steps take a guidance of 0. `size` is a side or
    (width, height) in pixels, None the model's own; `loras` are FILE[:WEIGHT], fused into the weights; `dtype` is the weights'.

    Every sample has its own CPU generator, seeded from its key or as its source fixed it; a batch always computes
    `batch_size` rows, or each row alone where a class was not measured to draw the same in company. Raises InputError for weights
    that cannot be loaded and for what cannot be drawn with them, before anything is loaded.
    """

    adds: ClassVar[frozenset[str]] = frozenset(
        {
            "pixels",
            "generator",
            "revision",
            "scheduler",
            "steps",
            "guidance_scale",
            "true_cfg_scale",
            "negative_prompt",
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
    steps: int | None = 10
    guidance_scale: float | None = 3.0
    size: int | Size | None = None
    true_cfg_scale: float | None = None
    negative_prompt: str | None = None
    loras: tuple[str, ...] = ()
    dtype: str | None = None
    batch_size: int = 16
    watches_batches: ClassVar[bool] = False  # whether what is prepared needs all rows in one call

    @abstractmethod
    def prepare(self, pipeline: Any) -> Any:
        """The loaded text-to-image pipeline as this stage calls it."""

    @abstractmethod
    def inputs(self, weights: Weights, rows: Sequence[Sample]) -> dict[str, Any]:
        """What the pipeline is called with beyond prompts, steps, guidance and generators."""

    def weights(self) -> Weights:
        """Find and check the weights, and that they can draw as asked; loads nothing."""
        weights = Weights.find(self.model, self.unet, self._adapters(), self.scheduler)
        weights.directory.size(self.size)
        if self.guidance_scale is not None and weights.kind.guidance is None:
            raise InputError(
                f"guidance_scale {self.guidance_scale}: a {weights.kind.name} has its guidance fixed; leave it out"
            )
        for name in ("true_cfg_scale", "negative_prompt"):
            if getattr(self, name) is not None and name not in weights.kind.accepts:
                raise InputError(f"{name} {getattr(self, name)!r}: a {weights.kind.name} takes none; leave it out")
        schedule = weights.kind.accepts.get("guidance_schedule")
        if schedule and self.guidance_scale is None and self.steps not in (None, len(schedule)):
            raise InputError(
                f"steps {self.steps}: a {weights.kind.name} follows the prompt by a list of {len(schedule)} values; "
                "give guidance_scale beside other steps"
            )
        if self.watches_batches and not weights.kind.family.together:
            raise InputError(
                f"--model {self.model}: a {weights.kind.name} is drawn row by row, which {type(self).__name__} cannot watch"
            )
        return weights

    def _adapters(self) -> tuple[str, ...]:
        """All LoRAs."""
        return (*(() if self.lora is None else (self.lora,)), *self.loras)

    def revision(self) -> str:
        """Digest of all weights; refuses what cannot be loaded."""
        return self.weights().digest()

    def arguments(self, weights: Weights) -> dict[str, Any]:
        """Steps and guidance by the names that the pipeline calls them, those that are not left to it."""
        usual, guidance = weights.kind.family, self.guidance_scale
        named = {
            "num_inference_steps": usual.steps if self.steps is None else self.steps,
            weights.kind.guidance or "": usual.guidance_scale if guidance is None else guidance,
            "true_cfg_scale": self.true_cfg_scale,
        }
        given = {name: value for name, value in named.items() if value is not None and name in weights.kind.accepts}
        # Ideogram's guidance is a list with a value a step unless one number is given.
        one = "guidance_schedule" in weights.kind.accepts and self.guidance_scale is not None
        return given | ({"guidance_schedule": None} if one else {})

    def open(self) -> Step:
        """Load the pipeline onto the accelerator if there is one."""
        weights = self.weights()
        width, height = weights.directory.size(self.size)
        used = weights.kind.accepts | self.arguments(weights)
        loaded = load(weights, max(width, height), used.get("num_inference_steps") or 1, self.dtype)
        encoders = text_encoders(loaded, weights.kind.fixed_arguments())
        pipeline = self.prepare(loaded)
        swapped = [part for part in (self.unet, *self._adapters()) if part is not None]
        known = {
            "generator": "+".join([self.model, *swapped]),
            "revision": weights.digest(),
            "scheduler": type(getattr(pipeline, "scheduler", None)).__name__,
            "steps": used.get("num_inference_steps"),
            "guidance_scale": used.get(weights.kind.guidance or ""),
            "true_cfg_scale": used.get("true_cfg_scale"),
            "negative_prompt": self.negative_prompt,
        }

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            pictures = self._draw(pipeline, weights, batch)
            if pictures.shape[1:] != (height, width, 3):
                raise HazmatError(
                    f"{self.model} drew {pictures.shape[1:]}, expected {(height, width, 3)}; set its size"
                )
            bad = {s.key: "the picture holds NaN" for s in batch if not np.isfinite(pictures[s.batch_row]).all()}
            if bad:
                raise BadSamplesError(bad)
            for sample in batch:
                pixels = (pictures[sample.batch_row] * 255).round().astype(np.uint8)
                yield with_reading(sample, encoders).with_(pixels=pixels, seed=sample.drawing_seed(self.name), **known)

        return step

    def _draw(self, pipeline: Any, weights: Weights, batch: Sequence[Sample]) -> Pictures:
        """float32 [batch_size, height, width, 3] in [0, 1]; rows without a sample hold nothing of use."""
        if not weights.kind.family.together:
            return self._draw_alone(pipeline, weights, batch)
        import torch

        rows = [batch[0]] * self.batch_size
        for sample in batch:
            rows[sample.batch_row] = sample
        generators = [torch.Generator("cpu").manual_seed(sample.drawing_seed(self.name)) for sample in rows]
        prompts = [sample.generation_prompt for sample in rows]
        drawn: Pictures = self._call(pipeline, weights, rows, prompt=prompts, generator=generators)
        return drawn

    def _draw_alone(self, pipeline: Any, weights: Weights, batch: Sequence[Sample]) -> Pictures:
        """As `_draw`, each row in a call of its own, with all randomness of torch seeded: some pipelines draw from both."""
        import torch

        width, height = weights.directory.size(self.size)
        pictures = np.zeros((self.batch_size, height, width, 3), np.float32)
        for sample in batch:
            seed = sample.drawing_seed(self.name)
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                own = torch.Generator("cpu").manual_seed(seed)
                drawn = self._call(pipeline, weights, [sample], prompt=sample.generation_prompt, generator=own)
            if drawn.shape[1:] != pictures.shape[1:]:
                pictures = drawn  # of another size than asked for, which the step says
                break
            pictures[sample.batch_row] = drawn[0]
        return pictures

    def _call(self, pipeline: Any, weights: Weights, rows: Sequence[Sample], **asked: Any) -> Any:
        import torch

        if self.negative_prompt is not None:
            alone = isinstance(asked["prompt"], str)
            asked["negative_prompt"] = self.negative_prompt if alone else [self.negative_prompt] * len(rows)
        with torch.inference_mode():
            drawn = pipeline(
                output_type="np",
                **asked,
                **self.arguments(weights),
                **self.inputs(weights, rows),
                **weights.kind.fixed_arguments(),
            )
        pictures = drawn.images if hasattr(drawn, "images") else drawn.image
        if pictures is None:  # a guard refused every row
            return None
        pictures = np.asarray(pictures)
        return _on_white(pictures) if pictures.shape[-1] == 4 else pictures

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 1:
            raise InputError(f"steps is {self.steps}; a picture takes at least 1")


def _on_white(pictures: Pictures) -> Pictures:
    """[n, height, width, 4] with opacity → [n, height, width, 3], as Qwen-Image 2.1 shows its own pictures to itself."""
    opacity = pictures[..., 3:]
    return np.asarray(pictures[..., :3] * opacity + (1 - opacity), dtype=np.float32)
