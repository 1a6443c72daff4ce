"""MultiHeaded (Qu et al. 2023, Unsafe Diffusion): five small heads on CLIP, one for each kind of unsafe picture.

The published weights are five state dicts, {sexual,violent,disturbing,hateful,political}.pt, of heads on raw ViT-L/14 features.
"""

from pathlib import Path
from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as bce

from classifiers.layers.encoder import ClipEncoder
from classifiers.zoo.backbone import Backbone, eyes_of
from classifiers.zoo.fitting import FittingSchedule, FittingSet, balance, descend
from classifiers.zoo.picture_judge import PictureJudge
from classifiers.zoo.weights import state_of, wanted

SCHEDULE = FittingSchedule(epochs=60, batch=64, rate=1e-3)

FILES = {
    "sexual": "sexual",
    "violence": "violent",
    "shocking": "disturbing",
    "hate": "hateful",
    "political": "political",
}
"""Taxonomy id → the published file."""


def head(width: int) -> nn.Sequential:
    """768-384-1 in the published layout; on another CLIP its width, half of it, and 1."""
    inner = width // 2
    return nn.Sequential(
        nn.Linear(width, inner), nn.ReLU(), nn.Dropout(0.5), nn.BatchNorm1d(inner), nn.Linear(inner, 1)
    )


class MultiHeaded(PictureJudge):
    """Unsafe if any head's probability is above one half."""

    name: ClassVar[str] = "multi_headed"
    claims: ClassVar[tuple[str, ...]] = tuple(FILES)

    def __init__(self, eyes: Backbone) -> None:
        super().__init__(eyes)
        self.heads = nn.ModuleList(head(eyes.width) for _ in FILES)
        self.eval()

    def margins(self, vectors: Tensor) -> Tensor:
        """[n, 5]: each head's logit."""
        return torch.cat([each(vectors) for each in self.heads], dim=1)

    def columns(self) -> list[list[int]]:
        """One head a category."""
        return [[place] for place in range(len(FILES))]

    @classmethod
    def published(cls, eyes: Backbone, folder: Path, suffix: str = ".pt") -> Self:
        """From the five files. Raises InputError for one that is missing or of another shape."""
        model = cls(eyes)
        for each, name in zip(model.heads, FILES.values(), strict=True):
            shapes = {key: tuple(value.shape) for key, value in each.state_dict().items()}
            file = folder / f"{name}{suffix}"
            each.load_state_dict(wanted(state_of(file), shapes, file))
        return model.eval()

    @classmethod
    def untrained(cls, encoder: ClipEncoder) -> Self:
        """Random heads."""
        torch.manual_seed(0)
        return cls(eyes_of(encoder))

    def fit(self, lesson: FittingSet, schedule: FittingSchedule = SCHEDULE) -> None:
        """Each head alone: its category against all else. Raises InputError for a category without rows."""
        for category, each in zip(self.claims, self.heads, strict=True):
            labels = lesson.named([category])
            weight = balance(labels, f"{self.name}'s head for {category}")

            def loss(rows: Tensor, each: nn.Module = each, labels: Tensor = labels, weight: Tensor = weight) -> Tensor:
                return bce(each(lesson.vectors[rows])[:, 0], labels[rows], pos_weight=weight)

            descend(each, loss, len(labels), schedule)
        self.eval()
