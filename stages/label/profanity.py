"""alt-profanity-check (MIT): a linear SVM over bags of characters and words. A weak sign of insults and hate in a prompt."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from schemas.sample import Sample
from stages.label.installed import file_digest, imported, installed_folder
from stages.label.labeller import Judge, Labeller, Opinion, rated


@dataclass(frozen=True, kw_only=True)
class Profanity(Labeller):
    """Unsafe (harassment) from `threshold` on. The package's model is a pickle that importing it loads: trust it as its code."""

    scopes: ClassVar[tuple[str, ...]] = ("prompt",)
    licence: ClassVar[str] = "MIT"
    threshold: float = 0.5

    def judge(self) -> Judge:
        """Import the package, which loads its model."""
        predict_prob = imported("profanity_check", "alt-profanity-check").predict_prob

        def judge(batch: Sequence[Sample]) -> list[list[Opinion]]:
            scores = predict_prob([sample.prompt for sample in batch])
            return [[rated("prompt", {"harassment": float(score)}, self.threshold)] for score in scores]

        return judge

    def covers(self) -> tuple[str, ...]:
        """Insults; the training comments know no other class."""
        return ("harassment",)

    def revision(self) -> str:
        """Digest of the model and its vocabulary."""
        data = installed_folder("profanity_check", "alt-profanity-check") / "data"
        return file_digest(data / "model.joblib", data / "vectorizer.joblib")
