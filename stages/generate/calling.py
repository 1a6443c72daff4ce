"""Call a loaded pipeline for one bucket of rows: in one call of the planned shape, or row by row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from schemas.generation import GenerationSettings
from schemas.sample import READING, Sample
from stages.generate.levels import Fetch, levels_of
from stages.generate.loading import Weights, save_memory
from stages.generate.long_prompts import encoded
from stages.generate.prompt_tokens import TextEncoder
from stages.generate.row_settings import GuidanceByRow, arguments, bucket_of

ROW_FIELDS = frozenset(
    {
        "pixels",
        "generator",
        "revision",
        "scheduler",
        "steps",
        "guidance_scale",
        "true_cfg_scale",
        "negative_prompt",
        "dtype",
        "seed",
        "generation_prompt",
        *READING,
    }
)
"""What drawing adds to a sample."""
Pictures = npt.NDArray[np.float32]
Inputs = Callable[[Weights, Sequence[Sample], tuple[int, int]], dict[str, Any]]
"""What a stage calls its pipeline with beyond prompts, settings and generators; for rows of one size (width, height)."""


@dataclass(slots=True)
class Ready:
    """A loaded pipeline, as its stage calls it; `schedules` are those that rows asked for, beside its own (None)."""

    pipeline: Any
    weights: Weights
    encoders: tuple[TextEncoder, ...]
    autoencoder: Any
    schedules: dict[str | None, Any]


@dataclass(frozen=True)
class Row:
    """A sample with what it is drawn with and from."""

    sample: Sample
    settings: GenerationSettings
    stage: str
    chunks: int = 1  # that its prompts are encoded in

    @property
    def seed(self) -> int:
        """Of its picture."""
        return self.sample.drawing_seed(self.stage)


@dataclass(frozen=True)
class Call:
    """How a stage calls `ready`; `shape` is how many rows a call computes."""

    ready: Ready
    inputs: Inputs
    shape: int

    def draw(self, bucket: Sequence[Row]) -> Fetch | None:
        """Begin; what waits for the pictures, of which rows without a sample hold nothing of use. None: a guard refused all."""
        pictures = self._drawn(bucket)
        return None if pictures is None else levels_of(pictures)

    def _drawn(self, bucket: Sequence[Row]) -> Any:
        weights, settings = self.ready.weights, bucket[0].settings
        size = weights.directory.size(settings.size)
        save_memory(self.ready.autoencoder, max(size))
        if settings.scheduler in self.ready.schedules:
            self.ready.pipeline.scheduler = self.ready.schedules[settings.scheduler]
        return self._together(bucket, size) if weights.kind.family.together else self._alone(bucket, size)

    def _together(self, bucket: Sequence[Row], size: tuple[int, int]) -> Any:
        import torch

        rows = [bucket[0]] * self.shape
        for row in bucket:
            rows[row.sample.batch_row] = row
        generators = [torch.Generator("cpu").manual_seed(row.seed) for row in rows]
        prompts = [row.sample.generation_prompt for row in rows]
        return self._call(rows, size, prompt=prompts, generator=generators)

    def _alone(self, bucket: Sequence[Row], size: tuple[int, int]) -> Pictures:
        """Each row in a call of its own, with all randomness of torch seeded: some pipelines draw from both."""
        import torch

        pictures = np.zeros((self.shape, size[1], size[0], 3), np.float32)
        for row in bucket:
            with torch.random.fork_rng():
                torch.manual_seed(row.seed)
                own = torch.Generator("cpu").manual_seed(row.seed)
                drawn = self._call([row], size, prompt=row.sample.generation_prompt, generator=own)
            if drawn is None or drawn.shape[1:] != pictures.shape[1:]:
                return pictures if drawn is None else drawn  # of another size than asked for, which the step says
            pictures[row.sample.batch_row] = drawn[0]
        return pictures

    def _call(self, rows: Sequence[Row], size: tuple[int, int], **extra: Any) -> Any:
        """float32 [rows, height, width, 3] in [0, 1], or as a tensor [rows, 3, height, width] where its class gives that."""
        import torch

        weights, settings = self.ready.weights, rows[0].settings
        kind = weights.kind
        negative = None if settings.negative_prompt is None else [row.settings.negative_prompt or "" for row in rows]
        if rows[0].chunks > 1:
            prompts = [extra["prompt"]] if isinstance(extra["prompt"], str) else extra["prompt"]
            with torch.inference_mode():
                parts = encoded(self.ready.pipeline, self.ready.encoders, prompts, negative, rows[0].chunks)
            extra = {"generator": extra["generator"], **parts}
        elif negative is not None:
            extra["negative_prompt"] = negative[0] if isinstance(extra["prompt"], str) else negative
        named = arguments(settings, kind)
        if len({row.settings.guidance_scale for row in rows}) > 1:
            each = [float(arguments(row.settings, kind)[kind.guidance or ""]) for row in rows]
            named[kind.guidance or ""] = GuidanceByRow.of(each)
        # What stands around a pipeline, a guard, takes arrays.
        tensors = kind.family.tensors and isinstance(self.ready.pipeline, kind.found)
        with torch.inference_mode():
            drawn = self.ready.pipeline(
                output_type="pt" if tensors else "np",
                **extra,
                **named,
                **self.inputs(weights, [row.sample for row in rows], size),
                **kind.fixed_arguments(),
            )
        pictures = drawn.images if hasattr(drawn, "images") else drawn.image
        if pictures is None:  # a guard refused every row
            return None
        if tensors:
            return pictures
        pictures = np.asarray(pictures)
        return _on_white(pictures) if pictures.shape[-1] == 4 else pictures


def buckets(rows: Sequence[Row], weights: Weights) -> list[list[Row]]:
    """Rows that may be drawn in one call, in the order of their first."""
    rows_of: dict[Any, list[Row]] = {}
    for row in rows:
        rows_of.setdefault((bucket_of(row.settings, weights.kind), row.chunks), []).append(row)
    return list(rows_of.values())


def _on_white(pictures: Pictures) -> Pictures:
    """[n, height, width, 4] with opacity → [n, height, width, 3], as Qwen-Image 2.1 shows its own pictures to itself."""
    opacity = pictures[..., 3:]
    return np.asarray(pictures[..., :3] * opacity + (1 - opacity), dtype=np.float32)
