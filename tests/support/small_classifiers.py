"""Classifiers small enough to attack in milliseconds, with a truth that they know exactly."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.attacks.gratings import Gratings, pictures, trained
from schemas.protocols import Coverage, Inputs

__all__ = ["Gratings", "Held", "Needle", "Sick", "pictures", "trained"]


class Needle(nn.Module):
    """A model built so that an adversarial example exists within `reach`, in one known direction (the active test).

    The margin is how far the mean of the picture along a fixed pattern lies from `reach` times the pattern's length: Zimmermann et
    al. 2022 ask that an attack find what is known to be there.
    """

    name = "needle"
    threshold = 0.5
    coverage = Coverage(frozenset({"image"}), ("image",), ())

    def __init__(self, clean: Tensor, reach: float, *, plain: bool = False) -> None:
        """`plain`: the direction is `brighter`, which a search without gradients can find too."""
        super().__init__()
        draw = torch.Generator().manual_seed(7)
        signs = torch.randint(0, 2, clean.shape[1:], generator=draw).float() * 2 - 1
        self.pattern = signs.abs() if plain else signs
        start = (clean * self.pattern).mean(dim=(1, 2, 3))
        self.edge = float(start.max()) + reach

    def logits(self, inputs: Inputs, embeddings: Tensor | None = None) -> Tensor:
        assert inputs.pixels is not None
        margin = 50 * (self.edge - (inputs.pixels * self.pattern).mean(dim=(1, 2, 3)))
        return torch.stack([torch.zeros_like(margin), margin], dim=1)


class Sick(nn.Module):
    """Flags everything by a margin of 1 whose gradient is zero, or NaN if `broken`."""

    name = "sick"
    threshold = 0.5
    coverage = Coverage(frozenset({"image"}), ("image",), ())

    def __init__(self, broken: bool) -> None:
        super().__init__()
        self.broken = broken

    def logits(self, inputs: Inputs, embeddings: Tensor | None = None) -> Tensor:
        assert inputs.pixels is not None
        nothing = 0 * inputs.pixels.flatten(1).sum(1)
        margin = 1 + (nothing.sqrt() if self.broken else nothing)
        return torch.stack([torch.zeros_like(margin), margin], dim=1)


@dataclass(frozen=True)
class Held:
    """A target that is there already: the reference is the model itself."""

    model: Gratings

    def load(self) -> Gratings:
        return self.model

    def digest(self) -> str:
        return "held"
