"""What each row is drawn with, whether a model can draw that, and which rows may be drawn in one call."""

from collections.abc import Hashable
from dataclasses import replace
from typing import Any

from schemas.errors import InputError
from schemas.generation import GenerationSettings
from stages.generate.loading import Weights
from stages.generate.pipeline_class import PipelineClass


def usable(settings: GenerationSettings, weights: Weights) -> None:
    """Raise InputError, which begins with the setting's name, for what cannot be drawn with these weights."""
    kind = weights.kind
    weights.directory.size(settings.size)
    if settings.guidance_scale is not None and kind.guidance is None:
        raise InputError(
            f"guidance_scale {settings.guidance_scale}: a {kind.name} has its guidance fixed; leave it out"
        )
    for name in ("true_cfg_scale", "negative_prompt"):
        if getattr(settings, name) is not None and name not in kind.accepts:
            raise InputError(f"{name} {getattr(settings, name)!r}: a {kind.name} takes none; leave it out")
    schedule = kind.accepts.get("guidance_schedule")
    if schedule and settings.guidance_scale is None and settings.steps not in (None, len(schedule)):
        raise InputError(
            f"steps {settings.steps}: a {kind.name} follows the prompt by a list of {len(schedule)} values; "
            "give guidance_scale beside other steps"
        )


def arguments(settings: GenerationSettings, kind: PipelineClass) -> dict[str, Any]:
    """Steps and guidance by the names that the pipeline calls them, those that are not left to it."""
    usual, guidance = kind.family, settings.guidance_scale
    named = {
        "num_inference_steps": usual.steps if settings.steps is None else settings.steps,
        kind.guidance or "": usual.guidance_scale if guidance is None else guidance,
        "true_cfg_scale": settings.true_cfg_scale,
    }
    values = {name: value for name, value in named.items() if value is not None and name in kind.accepts}
    # Ideogram's guidance is a list with a value a step unless one number is given.
    one = "guidance_schedule" in kind.accepts and settings.guidance_scale is not None
    return values | ({"guidance_schedule": None} if one else {})


def used(settings: GenerationSettings, kind: PipelineClass) -> dict[str, Any]:
    """The columns of a row that say what was used, also where it was the pipeline's own."""
    called = kind.accepts | arguments(settings, kind)
    return {
        "steps": called.get("num_inference_steps"),
        "guidance_scale": called.get(kind.guidance or ""),
        "true_cfg_scale": called.get("true_cfg_scale"),
        "negative_prompt": settings.negative_prompt,
    }


def bucket_of(settings: GenerationSettings, kind: PipelineClass) -> Hashable:
    """Rows with equal buckets may be drawn in one call: what differs between them, a call takes row by row."""
    guidance = used(settings, kind)["guidance_scale"]
    by_row = kind.family.guidance_by_row and isinstance(guidance, int | float) and guidance > 1
    shared = replace(settings, guidance_scale=None, negative_prompt=None)
    return shared, "by row" if by_row else guidance, settings.negative_prompt is not None


def planned_rows(count: int, batch_size: int) -> int:
    """Rows that a batch of `count` computes: a power of two, so that a short bucket costs less and a compiler meets few shapes."""
    return min(batch_size, 1 << (count - 1).bit_length())


def kind_of(settings: GenerationSettings) -> GenerationSettings:
    """Settings that are usable where these are, and equal for all that differ in numbers only."""
    numbers: dict[str, Any] = {
        name: 1.0 for name in ("guidance_scale", "true_cfg_scale") if getattr(settings, name) is not None
    }
    negative = None if settings.negative_prompt is None else ""
    return replace(settings, negative_prompt=negative, **numbers)


class GuidanceByRow(float):
    """A guidance scale for each row of a call, where pipelines take one: as a number the largest, as a factor the rows' own.

    Pipelines ask whether it is above 1 and multiply predictions by it (Ho & Salimans 2022); that is all it can do. Which classes
    ask no more was measured (`settings.Family.guidance_by_row`).
    """

    rows: Any  # torch.Tensor, float32

    @classmethod
    def of(cls, rows: list[float]) -> "GuidanceByRow":
        """All of `rows` are above 1."""
        import torch

        guidance = cls(max(rows))
        guidance.rows = torch.tensor(rows, dtype=torch.float32)
        return guidance

    def __mul__(self, other: Any) -> Any:
        import torch

        if not isinstance(other, torch.Tensor):
            return NotImplemented
        factor = self.rows.to(other.device).view(-1, *[1] * (other.dim() - 1))
        # A number is multiplied in float32 and rounded once, whatever the precision of the other.
        return (other.float() * factor).to(other.dtype)

    __rmul__ = __mul__
