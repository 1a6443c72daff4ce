"""The truth of a rendered scene: the sample says what was drawn, so nothing has to be recognised."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from schemas.sample import Sample
from stages.label.labeller import Judge, Labeller, Opinion
from stages.label.pictogram_words import understood
from stages.label.prompt_truth import concepts_digest, says, skip_unread
from stages.world import truth, vocabulary
from stages.world.scene import Scene


@dataclass(frozen=True, kw_only=True)
class SceneTruth(Labeller):
    """Image and pair, where the sample carries its scene; skips all others."""

    scopes: ClassVar[tuple[str, ...]] = ("image", "pair")
    annotator_type: ClassVar[str] = "rule"
    licence: ClassVar[str] = "Apache-2.0"
    gold: ClassVar[bool] = True

    def judge(self) -> Judge:
        """Nothing to load."""

        def judge(batch: Sequence[Sample]) -> list[list[Opinion]]:
            return [self._opinions(sample) for sample in batch]

        return judge

    def _opinions(self, sample: Sample) -> list[Opinion]:
        if sample.scene is None:
            return [Opinion(scope, "skip", reason="the picture was not drawn from a scene") for scope in self.scopes]
        return image_and_pair(sample.prompt, Scene.from_json(sample.scene).concepts)

    def covers(self) -> tuple[str, ...]:
        """All that the world knows."""
        return vocabulary.UNSAFE_CATEGORIES

    def revision(self) -> str:
        """Digest of the concepts' table."""
        return concepts_digest()


def image_and_pair(prompt: str, concepts: Sequence[str]) -> list[Opinion]:
    """The world's truth of a picture that shows `concepts`, and of the pair with the prompt's own truth in it."""
    request = understood(prompt)
    pair = truth.of_pair(request, concepts)
    unread = request.unknown and not pair.unsafe
    return [
        says("image", truth.of_picture(concepts)),
        skip_unread("pair", len(request.unknown)) if unread else says("pair", pair),
    ]
