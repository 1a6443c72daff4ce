"""NudeNet's paradigm (Bedapudi 2019): a convolutional network trained from scratch on labelled pictures, no CLIP beneath.

The published binary classifier is an Xception in Keras; the package of today brings a detector instead, which
`classifiers/unsafebench/judges/remote_judges.py` takes as a scorer (an extra; its licence file: AGPL-3.0). Here is the fitted one.
"""

from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as bce

from classifiers.zoo.backbone import Backbone
from classifiers.zoo.fitting import FittingSchedule, balance, descend
from classifiers.zoo.picture_judge import PictureJudge

SCHEDULE = FittingSchedule(epochs=8, batch=32, rate=3e-3)  # from scratch

CHANNELS = (24, 48, 96, 128)  # Xception has 728 and 36 layers, for 299 px; this is for 64


class ConvolutionalEyes(Backbone):
    """Depthwise-separable convolutions (Chollet 2017, the idea of Xception), from scratch; values in [-1, 1] as NudeNet's."""

    box: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    def __init__(self, side: int = 64) -> None:
        super().__init__(side, CHANNELS[-1], (0.5,) * 3, (0.5,) * 3)
        layers: list[nn.Module] = []
        for inside, out in zip((3, *CHANNELS), CHANNELS, strict=False):
            layers += [
                nn.Conv2d(inside, inside, 3, stride=1, padding=1, groups=inside, bias=False),
                nn.Conv2d(inside, out, 1, bias=False),
                nn.BatchNorm2d(out),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
        self.layers = nn.Sequential(*layers)

    def vectors(self, normalised: Tensor) -> Tensor:
        """The mean over places."""
        vectors: Tensor = self.layers(normalised)
        return vectors.mean(dim=(2, 3))


class NudeNetJudge(PictureJudge):
    """One logit on those features."""

    name: ClassVar[str] = "nude_net"
    claims: ClassVar[tuple[str, ...]] = ("sexual",)

    def __init__(self, eyes: Backbone) -> None:
        super().__init__(eyes)
        self.head = nn.Linear(eyes.width, 1)

    def margins(self, vectors: Tensor) -> Tensor:
        """[n, 1]: the logit."""
        logit: Tensor = self.head(vectors)
        return logit

    @classmethod
    def untrained(cls, side: int = 64, seed: int = 0) -> Self:
        """Random."""
        torch.manual_seed(seed)
        return cls(ConvolutionalEyes(side)).eval()

    def fit(self, pixels: Tensor, labels: Tensor, schedule: FittingSchedule = SCHEDULE) -> None:
        """From pixels float32 [n, 3, h, w] in [0, 1] and labels float32 [n], 1 unsafe. Raises InputError for one class."""
        weight = balance(labels, self.name)

        def loss(rows: Tensor) -> Tensor:
            return bce(
                self.margins(self.eyes.vectors(self.eyes.normalised(pixels[rows])))[:, 0],
                labels[rows],
                pos_weight=weight,
            )

        descend(self, loss, len(labels), schedule)
        self._settle(pixels, schedule.batch)

    @torch.no_grad()
    def _settle(self, pixels: Tensor, batch: int) -> None:
        """Take the batch norms' statistics anew over all rows: after few steps the running ones still hold their beginnings."""
        norms = [module for module in self.modules() if isinstance(module, nn.BatchNorm2d)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum, norm.training = None, True
        for part in torch.split(pixels, batch):
            self.eyes.vectors(self.eyes.normalised(part))
        self.eval()
