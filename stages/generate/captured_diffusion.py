"""Draw as `Diffusion` does, and keep what the early steps knew."""

from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pipeline.stage import Step
from schemas.capture import CapturedArray, CapturedSample
from schemas.errors import InputError
from schemas.sample import Sample
from stages.generate.capture import Early, StepCapture
from stages.generate.diffusion import Diffusion

_ATTACHED: ContextVar[list[StepCapture]] = ContextVar("attached")


@dataclass(frozen=True, kw_only=True)
class CapturedDiffusion(Diffusion):
    """Text to image with captures at chosen early steps (`keep`). The pictures are those of `Diffusion`, byte for byte.

    A plan with it packs by `pipeline.rounds.captures.PackCaptures`.
    """

    keep: Early = field(default_factory=Early)
    watches_batches: ClassVar[bool] = True
    ahead: ClassVar[bool] = False  # what a call caught is taken behind it
    # What is kept has one shape, of steps that mean the same, out of the pipeline that it is kept of.
    fixed: ClassVar[frozenset[str]] = frozenset({"steps", "size", "scheduler", "loras", "dtype"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps is not None and max(self.keep.steps) > self.steps:
            raise InputError(
                f"to keep something after step {max(self.keep.steps)} of {self.steps}: there is no such step"
            )

    @property
    def name(self) -> str:
        """That of `Diffusion`: seeds hang on it, and the same sample shall become the same picture."""
        return "diffusion"

    def prepare(self, pipeline: Any) -> Any:
        """Attach the captures."""
        captures = self.keep.captures()
        for capture in captures:
            capture.attach(pipeline)
        _ATTACHED.set(captures)
        return pipeline

    def open(self) -> Step:
        """Load the pipeline; the step gives samples with what was caught."""
        draw = super().open()
        captures = _ATTACHED.get()  # `prepare` attached them a moment ago

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            for alike in self.in_one_call(batch):
                drawn = list(draw(alike))
                kept = [(capture, capture.take().numpy()) for capture in captures]
                for sample in drawn:
                    caught = (
                        CapturedArray(one.name, one.step, one.timestep, array[sample.batch_row]) for one, array in kept
                    )
                    yield CapturedSample.of(sample, caught)

        return step
