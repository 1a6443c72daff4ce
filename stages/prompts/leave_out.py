"""Leave a whole category of prompts out before anything is drawn (DESIGN section 6: the sexual one, with weights from outside)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pipeline.stage import Stage, Step
from schemas.errors import InputError
from schemas.sample import Sample
from schemas.taxonomy import UNSAFEBENCH
from stages.prompts.gate import MINOR, Gate
from stages.prompts.normalise import readings


@dataclass(frozen=True, kw_only=True)
class LeaveOut(Stage):
    """Drop samples whose source claims `category`, or either of whose texts has one of the gate's terms of it, however spelt.

    Only a count is left of them. It judges prompts, not pictures: a model may draw what no word asked for, which is why a run that
    keeps the category needs `FinishedCheck`. `category` is one of the gate's classes of harm.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"prompt", "generation_prompt"})
    category: str = "sexual"

    def revision(self) -> str:
        """The version of the terms."""
        return Gate.default().version

    def open(self) -> Step:
        """Compile the terms. Raises InputError for a category that the gate has no terms of."""
        patterns = dict(Gate.default().harms)
        terms = patterns.get(f"{MINOR}_{self.category}")
        if terms is None:
            raise InputError(f"the gate has no terms of the category {self.category!r}, only {sorted(patterns)}")

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            for sample in batch:
                texts = {sample.prompt, sample.generation_prompt}
                if not self._claimed(sample) and not any(terms.finds(readings(text)) for text in texts):
                    yield sample

        return step

    def _claimed(self, sample: Sample) -> bool:
        if sample.category is None:
            return False
        known = UNSAFEBENCH.of(sample.source, sample.category)
        return self.category in (sample.category.lower() if known is None else known)
