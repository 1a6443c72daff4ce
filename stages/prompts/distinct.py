"""Keep one of several nearly equal prompts: a language model repeats itself."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pipeline.stage import Stage, Step
from schemas.sample import Sample
from stages.prompts.normalise import plain, shingles


@dataclass(frozen=True, kw_only=True)
class Distinct(Stage):
    """Drop every prompt that is near an earlier one of its batch; the receipt counts them as dropped by this stage.

    Near: the Jaccard similarity of the shingles of their plain spellings is at least `threshold` (what `PromptText` signs).
    It looks within a batch, so give it all prompts of a unit; over a whole run the catalogue looks. Exact, O(n²).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"prompt"})
    threshold: float = 0.7
    batch_size: int = 1024

    def open(self) -> Step:
        """Nothing to load."""

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            kept: list[frozenset[str]] = []
            for sample in batch:
                own = shingles(plain(sample.prompt))
                if not any(similarity(own, other) >= self.threshold for other in kept):
                    kept.append(own)
                    yield sample

        return step


def similarity(one: frozenset[str], other: frozenset[str]) -> float:
    """Jaccard: shared shingles over all."""
    return len(one & other) / len(one | other)
