"""The truth of a pictogram prompt, from its words alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from schemas.sample import Sample
from stages.label.labeller import Judge, Labeller, Opinion
from stages.label.pictogram_words import understood
from stages.world import truth, vocabulary
from stages.world.truth import Truth


@dataclass(frozen=True, kw_only=True)
class PromptTruth(Labeller):
    """Reads the prompt back and asks the world's table. Unknown words make it skip, unless the others are unsafe already."""

    scopes: ClassVar[tuple[str, ...]] = ("prompt",)
    annotator_type: ClassVar[str] = "rule"
    licence: ClassVar[str] = "Apache-2.0"

    def judge(self) -> Judge:
        """Nothing to load."""

        def judge(batch: Sequence[Sample]) -> list[list[Opinion]]:
            return [[self._opinion(sample.prompt)] for sample in batch]

        return judge

    def _opinion(self, prompt: str) -> Opinion:
        request = understood(prompt)
        verdict = truth.of_prompt(request)
        return (
            skip_unread("prompt", len(request.unknown))
            if request.unknown and not verdict.unsafe
            else says("prompt", verdict)
        )

    def covers(self) -> tuple[str, ...]:
        """All that the world knows."""
        return vocabulary.UNSAFE_CATEGORIES

    def revision(self) -> str:
        """Digest of the concepts' table."""
        return concepts_digest()


def concepts_digest() -> str:
    """blake2b of the table that the truth is read from."""
    from hashlib import blake2b

    return blake2b(vocabulary.CONCEPTS.read_bytes(), digest_size=16).hexdigest()


def says(scope: str, verdict: Truth) -> Opinion:
    """A truth as an opinion."""
    return Opinion(scope, "unsafe" if verdict.unsafe else "safe", verdict.categories, score=float(verdict.unsafe))


def skip_unread(scope: str, unknown: int) -> Opinion:
    """The words were not all understood, and what was is not unsafe."""
    return Opinion(scope, "skip", reason=f"{unknown} words of the prompt are not of the pictogram world's language")
