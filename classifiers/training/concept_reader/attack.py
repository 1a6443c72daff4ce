"""The attacker that a concept reader is trained against: a few steps of signed gradients from a random start."""

from dataclasses import dataclass

import torch
from torch import Tensor

from classifiers.layers.concept_reader import ConceptNet

LEVEL = 1 / 255


@dataclass(frozen=True, kw_only=True)
class Strength:
    """L-infinity, in pixel units: each row's ε is uniform in [`least`, `most`], `clean` of the rows are left alone.

    One step is of 1.25 ε from a random start (Wong et al. 2020, "Fast is better than free"), several are of 2 ε / steps.
    A safe picture gets `on_safe` of the ε: a false flag costs less than a picture that slips through.
    """

    least: float = 1 * LEVEL
    most: float = 4.5 * LEVEL
    clean: float = 0.2
    on_safe: float = 0.7
    steps: int = 1


def budgets(unsafe: Tensor, strength: Strength, generator: torch.Generator) -> Tensor:
    """ε of each row, float32 [n, 1, 1, 1]."""
    dice = torch.rand(2, len(unsafe), generator=generator)
    epsilon = strength.least + dice[0] * (strength.most - strength.least)
    epsilon = torch.where(unsafe, epsilon, epsilon * strength.on_safe)
    return torch.where(dice[1] < strength.clean, 0.0, epsilon)[:, None, None, None]


def attacked(
    reader: ConceptNet, pixels: Tensor, unsafe: Tensor, strength: Strength, generator: torch.Generator
) -> Tensor:
    """Pictures [n, 3, h, w] within the rows' ε whose unsafe logit is lower (`unsafe` rows, bool [n]) or higher (the others)."""
    epsilon = budgets(unsafe, strength, generator).to(pixels.device)
    low, high = (pixels - epsilon).clamp(min=0), (pixels + epsilon).clamp(max=1)
    start = torch.rand(pixels.shape, generator=generator).to(pixels.device) * 2 - 1
    found = torch.minimum(torch.maximum(pixels + epsilon * start, low), high)
    size = epsilon * (1.25 if strength.steps == 1 else 2 / strength.steps)
    towards = torch.where(unsafe, -1.0, 1.0).to(pixels.device)
    for _ in range(strength.steps):
        at = found.detach().requires_grad_(True)
        with torch.autocast(pixels.device.type, torch.bfloat16):
            logits = reader(at)
        (slope,) = torch.autograd.grad((reader.unsafe(logits) * towards).sum(), at)
        found = torch.minimum(torch.maximum(found + size * slope.sign(), low), high)
    return found.detach()
