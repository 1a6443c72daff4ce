"""A small convolutional network that reads concepts off a picture, and rules over concepts that say what is unsafe.

It has no CLIP in it and its own seed: a second pair of eyes beside encoders that pixels move easily.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIDE = 64  # pixels: of the pictures that it is trained on; others are resized
GRID = 8  # cells a side of the features that get dense labels in training


@dataclass(frozen=True)
class Rule:
    """A picture that shows all of `concepts` together is unsafe in `category`."""

    category: str
    concepts: tuple[str, ...]


@dataclass(frozen=True)
class ReaderConfig:
    """What is read and what follows from it. `concepts` are the outputs in order; each rule is over one or two of them."""

    concepts: tuple[str, ...]
    rules: tuple[Rule, ...]
    stem: int = 32
    widths: tuple[int, int, int] = (64, 128, 256)
    depths: tuple[int, int, int] = (1, 2, 1)  # blocks; two in each stage cost half as much time again

    def __post_init__(self) -> None:
        unknown = {name for rule in self.rules for name in rule.concepts} - set(self.concepts)
        if unknown or not self.rules or any(len(rule.concepts) not in (1, 2) for rule in self.rules):
            raise ValueError(
                f"rules are over one or two known concepts each, and there is at least one; unknown: {unknown}"
            )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        rules = [{"category": rule.category, "concepts": list(rule.concepts)} for rule in self.rules]
        shape = {"stem": self.stem, "widths": list(self.widths), "depths": list(self.depths)}
        return {"concepts": list(self.concepts), "rules": rules, **shape}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Back from `to_json`."""
        rules = tuple(Rule(rule["category"], tuple(rule["concepts"])) for rule in values["rules"])
        return cls(tuple(values["concepts"]), rules, values["stem"], _three(values["widths"]), _three(values["depths"]))


def _three(values: Sequence[int]) -> tuple[int, int, int]:
    first, second, third = values
    return first, second, third


class ConceptLogits(NamedTuple):
    """Logits: of each concept, float32 [n, concepts], and of each cell's concept (0: ground), float32 [n, 1 + concepts, 8, 8]."""

    concepts: Tensor
    cells: Tensor


class ConceptNet(nn.Module):
    """A ResNet of three stages (He et al. 2016) at 16x16, 8x8 and 4x4, 1.6 M parameters; logits of concepts by mean pooling.

    The unsafe logit is log Σ exp over the rules, a rule of two being -log(exp(-a) + exp(-b)): a maximum of minima, smoothed, so
    that every concept shown has a gradient and lowering one of two is not enough.
    """

    first: Tensor
    second: Tensor

    def __init__(self, config: ReaderConfig) -> None:
        super().__init__()
        self.config = config
        first, second, third = config.widths
        # Twelve channels at half the side: a convolution of three channels is the slowest of all on a CPU.
        self.stem = nn.Sequential(
            nn.PixelUnshuffle(2), _conv(12, config.stem, 3, 1), nn.ReLU(), _conv(config.stem, first, 3, 2), nn.ReLU()
        )
        self.stages = nn.ModuleList(
            nn.Sequential(
                ResidualBlock(before, after, stride), *(ResidualBlock(after, after, 1) for _ in range(depth - 1))
            )
            for (before, after, stride), depth in zip(
                ((first, first, 1), (first, second, 2), (second, third, 2)), config.depths, strict=True
            )
        )
        self.head = nn.Linear(third, len(config.concepts))
        self.cells = nn.Conv2d(second, 1 + len(config.concepts), 1)
        places = {name: index for index, name in enumerate(config.concepts)}
        # A rule of one names its concept twice; what it needs is then taken once.
        pairs = [(places[rule.concepts[0]], places[rule.concepts[-1]]) for rule in config.rules]
        self.register_buffer("first", torch.tensor([a for a, _ in pairs]), persistent=False)
        self.register_buffer("second", torch.tensor([b for _, b in pairs]), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels float32 [n, 3, h, w] in [0, 1] → logits of concepts, float32 [n, concepts]."""
        return self.read(pixels, dense=False).concepts

    def read(self, pixels: Tensor, *, dense: bool = True) -> ConceptLogits:
        """As `forward`, with the cells' logits where `dense`."""
        states = self.stem(sized(pixels) * 2 - 1)
        middle = self.stages[1](self.stages[0](states))
        pooled = self.stages[2](middle).float().mean((2, 3))
        cells = self.cells(middle).float() if dense else pooled.new_zeros(0)
        return ConceptLogits(self.head(pooled).float(), cells)

    def evidence(self, concepts: Tensor) -> Tensor:
        """Logits of concepts [n, concepts] → of rules, [n, rules]."""
        a, b = concepts[:, self.first], concepts[:, self.second]
        return torch.where(self.first == self.second, a, -torch.logaddexp(-a, -b))

    def unsafe(self, concepts: Tensor) -> Tensor:
        """Logits of concepts [n, concepts] → of unsafe, [n]."""
        return self.evidence(concepts).logsumexp(1)

    def by_category(self, concepts: Tensor, categories: Sequence[str]) -> Tensor:
        """Logits of concepts → of each category, [n, categories]; very low for one that no rule names."""
        evidence = self.evidence(concepts)
        named = torch.tensor([[rule.category == each for rule in self.config.rules] for each in categories])
        hidden = evidence[:, None, :].masked_fill(~named.to(evidence.device), UNNAMED)
        return hidden.logsumexp(2)


UNNAMED = -30.0  # P = 1e-13


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a way round them."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.path = nn.Sequential(_conv(before, after, 3, stride), nn.ReLU(), _conv(after, after, 3, 1))
        same = before == after and stride == 1
        self.way_round = nn.Identity() if same else _conv(before, after, 1, stride)

    def forward(self, states: Tensor) -> Tensor:
        """[n, before, h, w] → [n, after, h / stride, w / stride]."""
        out: Tensor = F.relu(self.path(states) + self.way_round(states))
        return out


def sized(pixels: Tensor) -> Tensor:
    """[n, 3, h, w] → [n, 3, 64, 64], antialiased where it shrinks."""
    if pixels.shape[-2:] == (SIDE, SIDE):
        return pixels
    return F.interpolate(pixels, (SIDE, SIDE), mode="bilinear", align_corners=False, antialias=True)


def _conv(before: int, after: int, size: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, size, stride, size // 2, bias=False), nn.BatchNorm2d(after))
