"""A classifier small enough to attack in milliseconds, and pictures whose truth is known: for benchmarks and tests of attacks."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from schemas.protocols import Coverage, Inputs, Scores


class Gratings(nn.Module):
    """Tells upright from lying gratings: a small convolutional net, trained here in a second. Reads pictures only."""

    name: ClassVar[str] = "gratings"
    threshold: ClassVar[float] = 0.5
    coverage: ClassVar[Coverage] = Coverage(frozenset({"image"}), ("image",), ())

    def __init__(self, bias: float = 0.0) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(3, 8, 5, stride=2, padding=2), nn.BatchNorm2d(8), nn.SiLU(),
            nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.SiLU(), nn.Dropout(0.1), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(16, 2),
        )  # fmt: skip
        self.bias = bias

    def forward(self, pixels: Tensor) -> Tensor:
        """float32 [n, 3, h, w] in [0, 1] → logits [n, 2]."""
        out: Tensor = self.net((pixels - 0.5) / 0.25) + self.bias
        return out

    def logits(self, inputs: Inputs, embeddings: Tensor | None = None) -> Tensor:
        assert inputs.pixels is not None
        out: Tensor = self(inputs.pixels)
        return out

    def score(self, inputs: Inputs) -> Scores:
        return Scores({"image": self.logits(inputs).softmax(1)[:, 1]}, {})

    def encode(self, prompts: Sequence[str]) -> Tensor:
        """It reads no words."""
        raise NotImplementedError

    def decode(self, ids: Tensor) -> str:
        """It reads no words."""
        raise NotImplementedError

    def embedding_table(self) -> Tensor:
        """It reads no words."""
        raise NotImplementedError

    def editable(self, ids: Tensor) -> Tensor:
        """It reads no words."""
        raise NotImplementedError

    def overruns(self, prompt: str) -> bool:
        """It reads no words."""
        return False


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


def trained(seed: int = 0, side: int = 24) -> Gratings:
    """A net that tells nearly all gratings apart."""
    torch.manual_seed(seed)
    model = Gratings()
    pixels, labels = pictures(256, side=side, seed=1)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(25):
        optimiser.zero_grad()
        torch.autograd.backward(nn.functional.cross_entropy(model(pixels), labels))
        optimiser.step()
    return model.eval()
