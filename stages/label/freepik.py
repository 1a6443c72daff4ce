"""Freepik's NSFW classifier: an EVA-02 of timm with four levels, neutral, low, medium and high."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from schemas.errors import InputError
from stages.label.picture_classifier import PictureClassifier

LEVELS = ("neutral", "low", "medium", "high")


@dataclass(frozen=True, kw_only=True)
class Freepik(PictureClassifier):
    """Unsafe by the probability of `level` or worse, as its authors add them up. It needs the package timm."""

    licence: ClassVar[str] = "MIT"
    classes: ClassVar[frozenset[str]] = frozenset(LEVELS)
    model: str = "Freepik/nsfw_image_detector"
    level: str = "medium"

    def __post_init__(self) -> None:
        """Raises InputError for a level that is none."""
        if self.level not in LEVELS[1:]:
            raise InputError(f"freepik: level is {self.level!r}; expected {', '.join(LEVELS[1:])}")

    def unsafe(self, chances: Mapping[str, float]) -> float:
        """P(level or worse)."""
        return sum(chances[name] for name in LEVELS[LEVELS.index(self.level) :])
