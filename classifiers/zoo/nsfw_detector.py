"""LAION's CLIP-based NSFW detector (Schuhmann et al. 2022): a perceptron on CLIP's unit vectors.

The published ViT-L/14 head was made by AutoKeras and ported to a state dict: norm.{mean,variance}, linear_1 … linear_4.
"""

from collections import OrderedDict
from pathlib import Path
from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.nn.functional import normalize

from classifiers.layers.encoder import ClipEncoder
from classifiers.zoo.backbone import Backbone, eyes_of
from classifiers.zoo.fitting import FittingSchedule, FittingSet, balance, descend
from classifiers.zoo.picture_judge import PictureJudge
from classifiers.zoo.weights import state_of, wanted

SCHEDULE = FittingSchedule(epochs=40, batch=64, rate=1e-3)

WIDTHS = (64, 512, 256, 1)
FLOOR = 1e-12  # of the variance, so that a constant feature stays finite


class Standardise(nn.Module):
    """Keras' Normalization: (x - mean) / sqrt(variance), both float32 [width]."""

    mean: Tensor
    variance: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("variance", torch.ones(width))

    def forward(self, rows: Tensor) -> Tensor:
        """[n, width]."""
        return (rows - self.mean) / self.variance.clamp(min=FLOOR).sqrt()


class NsfwDetector(PictureJudge):
    """Unsafe if the perceptron's probability is above one half."""

    name: ClassVar[str] = "nsfw_detector"
    claims: ClassVar[tuple[str, ...]] = ("harassment", "sexual")

    def __init__(self, eyes: Backbone) -> None:
        super().__init__(eyes)
        layers: OrderedDict[str, nn.Module] = OrderedDict(norm=Standardise(eyes.width))
        for number, (inside, out) in enumerate(zip((eyes.width, *WIDTHS), WIDTHS, strict=False), 1):
            layers[f"linear_{number}"] = nn.Linear(inside, out)
            if number < len(WIDTHS):
                layers[f"act_{number}"] = nn.ReLU()
        self.head = nn.Sequential(layers)

    def margins(self, vectors: Tensor) -> Tensor:
        """[n, 1]: the logit."""
        logit: Tensor = self.head(normalize(vectors, dim=-1))
        return logit

    @classmethod
    def published(cls, eyes: Backbone, file: Path) -> Self:
        """From the ported state dict. Raises InputError for another shape."""
        model = cls(eyes)
        shapes = {name: tuple(value.shape) for name, value in model.head.state_dict().items()}
        model.head.load_state_dict(wanted(state_of(file), shapes, file))
        return model.eval()

    @classmethod
    def untrained(cls, encoder: ClipEncoder) -> Self:
        """Random layers."""
        torch.manual_seed(0)
        return cls(eyes_of(encoder)).eval()

    def fit(self, lesson: FittingSet, schedule: FittingSchedule = SCHEDULE) -> None:
        """Its categories against all else, on standardised vectors. Raises InputError for one class."""
        labels = lesson.named(self.claims)
        weight = balance(labels, self.name)
        norm = self.head.norm
        assert isinstance(norm, Standardise)
        unit = normalize(lesson.vectors, dim=-1)
        norm.mean.copy_(unit.mean(dim=0))
        norm.variance.copy_(unit.var(dim=0))

        def loss(rows: Tensor) -> Tensor:
            return bce(self.head(unit[rows])[:, 0], labels[rows], pos_weight=weight)

        descend(self, loss, len(labels), schedule)
