"""Falconsai's NSFW classifier: a ViT with the classes normal and nsfw."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from stages.label.picture_classifier import PictureClassifier


@dataclass(frozen=True, kw_only=True)
class Falconsai(PictureClassifier):
    """Unsafe by P(nsfw)."""

    licence: ClassVar[str] = "Apache-2.0"
    classes: ClassVar[frozenset[str]] = frozenset({"normal", "nsfw"})
    model: str = "Falconsai/nsfw_image_detection"

    def unsafe(self, chances: Mapping[str, float]) -> float:
        """P(nsfw)."""
        return chances["nsfw"]
