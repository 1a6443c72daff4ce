"""Draw as `Diffusion` does, with filters before, during and after; what they refuse is dropped and leaves a count."""

from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from pipeline.stage import Step
from schemas.errors import InputError
from schemas.protocols import Target
from schemas.sample import Sample
from stages.generate.calling import Call, Row
from stages.generate.diffusion import Diffusion
from stages.generate.guarded_pipeline import GuardedAnswer, GuardedPipeline
from stages.generate.levels import Fetch, levels_of


class _Recorded:
    """A guarded pipeline that keeps its last answer."""

    def __init__(self, guard: GuardedPipeline) -> None:
        self.guard = guard
        self.scheduler = guard.pipeline.scheduler
        self.answer: GuardedAnswer | None = None

    def __call__(self, prompt: Sequence[str], **named: Any) -> GuardedAnswer:
        self.answer = self.guard(prompt, **named)
        return self.answer


_PREPARED: ContextVar[_Recorded] = ContextVar("prepared")


@dataclass(frozen=True, kw_only=True)
class GuardedDiffusion(Diffusion):
    """Text to image through a `GuardedPipeline`: `text`, `early` and `image` are classifiers by reference, or None.

    What passes has the bytes of `Diffusion`, unless `compact`. Raises InputError without any filter.
    """

    text: Target | None = field(default=None)
    early: Target | None = field(default=None)
    image: Target | None = field(default=None)
    compact: bool = False
    watches_batches: ClassVar[bool] = True
    ahead: ClassVar[bool] = False  # a call's refusals are asked for behind it
    fixed: ClassVar[frozenset[str]] = frozenset({"guidance_scale", "scheduler", "loras", "dtype"})

    @property
    def name(self) -> str:
        """That of `Diffusion`: seeds hang on it, and the same sample shall become the same picture."""
        return "diffusion"

    @property
    def filters(self) -> dict[str, Target]:
        """Those that there are."""
        filters = {"text": self.text, "early": self.early, "image": self.image}
        return {name: target for name, target in filters.items() if target is not None}

    def prepare(self, pipeline: Any) -> Any:
        """Load the filters and put them around."""
        if not self.filters:
            raise InputError("a guard without any of text, early and image guards nothing; use Diffusion")
        loaded: dict[str, Any] = {name: target.load() for name, target in self.filters.items()}
        recorded = _Recorded(GuardedPipeline(pipeline, compact=self.compact, **loaded))
        _PREPARED.set(recorded)
        return recorded

    def open(self) -> Step:
        """Load pipeline and filters; the step gives only what none of them refuses."""
        draw = super().open()
        recorded = _PREPARED.get()  # `prepare` made it a moment ago

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            for alike in self.in_one_call(batch):
                drawn = list(draw(alike))
                assert recorded.answer is not None
                yield from (sample for sample in drawn if recorded.answer.refusals[sample.batch_row] is None)

        return step

    def _begun(self, call: Call, bucket: Sequence[Row]) -> Fetch:
        drawn = call.draw(bucket)
        if drawn is None:
            width, height = call.ready.weights.directory.size(bucket[0].settings.size)
            return levels_of(np.zeros((call.shape, height, width, 3), np.float32))
        return drawn

    def describe(self) -> dict[str, str]:
        """The filters by their digests, not by where they lie."""
        return {**super().describe(), **{name: target.digest() for name, target in self.filters.items()}}
