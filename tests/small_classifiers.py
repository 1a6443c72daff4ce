"""Classifiers small enough to attack in milliseconds, with a truth that they know exactly."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from classifiers.contract import Coverage, Inputs, Scores


class Gratings(nn.Module):
    """Tells upright from lying gratings: a small convolutional net, trained here in a second. Reads pictures only."""

    name = "gratings"
    threshold = 0.5
    coverage = Coverage(frozenset({"image"}), ("image",), ())

    def __init__(self, bias: float = 0.0) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(3, 8, 5, stride=2, padding=2), nn.BatchNorm2d(8), nn.SiLU(),
            nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.SiLU(), nn.Dropout(0.1), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(16, 2),
        )  # fmt: skip
        self.bias = bias

    def forward(self, pixels: Tensor) -> Tensor:
        return self.net((pixels - 0.5) / 0.25) + self.bias

    def logits(self, inputs: Inputs, embeddings: Tensor | None = None) -> Tensor:
        assert inputs.pixels is not None
        return self(inputs.pixels)

    def score(self, inputs: Inputs) -> Scores:
        return Scores({"image": self.logits(inputs).softmax(1)[:, 1]}, {})

    def encode(self, prompts: Sequence[str]) -> Tensor:
        raise NotImplementedError

    def decode(self, ids: Tensor) -> str:
        raise NotImplementedError

    def embedding_table(self) -> Tensor:
        raise NotImplementedError

    def editable(self, ids: Tensor) -> Tensor:
        raise NotImplementedError


def pictures(count: int, side: int = 24, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Noisy gratings, upright (1) and lying (0): float32 [count, 3, side, side] in whole 8-bit levels, int64 [count]."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    wave = torch.sin(torch.arange(side) * 1.3)
    lying = wave[None, :, None].expand(3, side, side)
    upright = wave[None, None, :].expand(3, side, side)
    strength = 0.03 + 0.05 * torch.rand((count, 1, 1, 1), generator=draw)
    base = torch.where((labels == 1)[:, None, None, None], upright, lying) * strength
    noise = 0.1 * torch.randn((count, 3, side, side), generator=draw)
    pixels = (0.5 + base + noise).clamp(0, 1)
    return (pixels * 255).round() / 255, labels


def trained(seed: int = 0) -> Gratings:
    """A net that tells nearly all gratings apart."""
    torch.manual_seed(seed)
    model = Gratings()
    pixels, labels = pictures(256, seed=1)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(25):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(pixels), labels).backward()
        optimiser.step()
    return model.eval()


class Needle(nn.Module):
    """A model built so that an adversarial example exists within `reach`, in one known direction (the active test).

    The margin is how far the mean of the picture along a fixed pattern lies from `reach` times the pattern's length: Zimmermann et
    al. 2022 ask that an attack find what is known to be there.
    """

    name = "needle"
    threshold = 0.5
    coverage = Coverage(frozenset({"image"}), ("image",), ())

    def __init__(self, clean: Tensor, reach: float) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(7)
        self.pattern = torch.randint(0, 2, clean.shape[1:], generator=draw).float() * 2 - 1
        start = (clean * self.pattern).mean(dim=(1, 2, 3))
        self.edge = float(start.max()) + reach

    def logits(self, inputs: Inputs, embeddings: Tensor | None = None) -> Tensor:
        assert inputs.pixels is not None
        margin = 50 * (self.edge - (inputs.pixels * self.pattern).mean(dim=(1, 2, 3)))
        return torch.stack([torch.zeros_like(margin), margin], dim=1)


@dataclass(frozen=True)
class Held:
    """A target that is there already: the reference is the model itself."""

    model: Gratings

    def load(self) -> Gratings:
        return self.model

    def digest(self) -> str:
        return "held"
