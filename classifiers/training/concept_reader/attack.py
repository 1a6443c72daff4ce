"""The attacker that a concept reader is trained against: a few steps of signed gradients from a random start."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from classifiers.layers.concept_reader import ConceptNet

LEVEL = 1 / 255
HIDING, FEIGNING = 0.4, 0.15


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


Objective = Callable[[Tensor], Tensor]
"""Logits of concepts [n, concepts] → what is to grow, [n]."""


def on_unsafe(reader: ConceptNet, unsafe: Tensor) -> Objective:
    """The unsafe logit, lower in the rows of `unsafe` (bool [n]) and higher in the others."""
    towards = torch.where(unsafe, -1.0, 1.0)
    return lambda logits: reader.unsafe(logits) * towards.to(logits.device)


def on_concepts(reader: ConceptNet, shown: Tensor, unsafe: Tensor, generator: torch.Generator) -> Objective:
    """As `on_unsafe`, but for `HIDING` of the safe rows that show something (`shown`, [n, concepts]): there what they show is to be
    overlooked, since words may turn it, and for `FEIGNING` of the others: there any concept is to be seen that is not there.
    """
    decision = on_unsafe(reader, unsafe)
    dice = torch.rand(len(shown), generator=generator)
    hides = ~unsafe & (shown.sum(1) > 0) & (dice < HIDING)
    feigns = ~unsafe & ~hides & (dice > 1 - FEIGNING)
    other = torch.randint(shown.shape[1], (len(shown),), generator=generator)
    weights = torch.where(hides[:, None], -shown, F.one_hot(other, shown.shape[1]) * (1 - shown))

    def objective(logits: Tensor) -> Tensor:
        moved = (logits * weights.to(logits.device)).sum(1)
        return torch.where((hides | feigns).to(logits.device), moved, decision(logits))

    return objective


def attacked(
    reader: ConceptNet, pixels: Tensor, unsafe: Tensor, strength: Strength, generator: torch.Generator,
    objective: Objective | None = None,
) -> Tensor:  # fmt: skip
    """Pictures [n, 3, h, w] within the rows' ε whose `objective` is higher (default: `on_unsafe`)."""
    objective = objective or on_unsafe(reader, unsafe)
    epsilon = budgets(unsafe, strength, generator).to(pixels.device)
    low, high = (pixels - epsilon).clamp(min=0), (pixels + epsilon).clamp(max=1)
    start = torch.rand(pixels.shape, generator=generator).to(pixels.device) * 2 - 1
    perturbed = torch.minimum(torch.maximum(pixels + epsilon * start, low), high)
    size = epsilon * (1.25 if strength.steps == 1 else 2 / strength.steps)
    for _ in range(strength.steps):
        at = perturbed.detach().requires_grad_(True)
        with torch.enable_grad(), torch.autocast(pixels.device.type, torch.bfloat16):
            logits = reader(at)
            (slope,) = torch.autograd.grad(objective(logits).sum(), at)
        perturbed = torch.minimum(torch.maximum(perturbed + size * slope.sign(), low), high)
    return perturbed.detach()
