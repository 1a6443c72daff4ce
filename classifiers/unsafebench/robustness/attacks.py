"""Robustness under two protocols that are never mixed (table 5 of UnsafeBench): what its code does, and what its text says.

`unsafebench_compat` (assess_robustness.py at 8e763e8): the attack works on the normalised tensor at the model's size, 0.01 of those
units (0.7 of an 8-bit level through CLIP's normalisation, 1.3 levels through NudeNet's), values within (-3, 3) or (-1, 1), nothing
rounded; "Gaussian" is noise of L2 norm 0.01 over the whole tensor. `pixel_linf`: 0.01 in [0, 1] at the source picture, so two whole
8-bit levels, judged after rounding; Gaussian noise has a standard deviation of 0.01.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor

from classifiers.unsafebench.dataset.images import Picture, tensor_of
from classifiers.unsafebench.robustness.targeted_loss import Targeted, likelihoods_of
from classifiers.zoo.picture_judge import PictureJudge
from classifiers.zoo.vlm import Vlm
from schemas.identity import seed_of
from schemas.protocols import Differentiable, Inputs
from stages.attack.pixel_attack import margins_of
from stages.attack.pixels.deep_fool import deep_fool
from stages.attack.pixels.fgsm import fgsm
from stages.attack.pixels.gaussian import gaussian
from stages.attack.pixels.pgd import PGDConfig, pgd
from stages.attack.victim import Victim, at_rest, within

COMPAT, PIXEL = PROTOCOLS = ("unsafebench_compat", "pixel_linf")
ATTACKS = ("gaussian", "fgsm", "pgd", "deep_fool")
EPSILON = 0.01
ITERATIONS = 100
TILE = 8  # rows computed at once, always as many: few are left in the late iterations
ATTACKED = pa.schema(
    [
        *((name, pa.string()) for name in ("key", "classifier", "source", "category", "protocol", "attack")),
        ("unsafe", pa.bool_()),
        ("fooled", pa.bool_()),
        *((name, pa.float64()) for name in ("margin_before", "margin_after")),
        ("distance", pa.float64()),  # L-infinity, in units of the protocol
        ("queries", pa.int64()),
    ]
)


@dataclass(frozen=True, eq=False)
class Arena:
    """Where a protocol lets a classifier be attacked: a victim, the budget in its units, and what one is in the protocol's."""

    protocol: str
    victim: Victim
    boundary: Victim  # what DeepFool walks to: of a language model not the target's likelihood but the margin
    epsilon: float
    unit: float
    gaussian: Callable[[Sequence[int]], Tensor]
    climb: PGDConfig


def arena(protocol: str, target: Differentiable, pixels: Tensor, labels: Tensor, iterations: int) -> Arena | None:
    """None where a protocol cannot be applied: only judges of the zoo have a normalised input to be attacked at."""
    if protocol == PIXEL:
        inputs = Inputs(("",) * len(pixels), pixels)
        boundary = Victim(margins_of(target, inputs), pixels, labels, tile=TILE, as_stored=True)
        towards = Targeted(likelihoods_of(target), pixels, labels, tile=TILE, as_stored=True)
        victim = towards if isinstance(target, Vlm) else boundary
        noise = lambda seeds: gaussian(pixels, EPSILON, None, seeds)  # noqa: E731
        return Arena(protocol, victim, boundary, EPSILON, 1.0, noise, PGDConfig(steps=iterations))
    if not isinstance(target, PictureJudge):
        return None
    low, high = target.eyes.box
    span = high - low
    with torch.no_grad():
        clean = ((target.eyes.normalised(pixels) - low) / span).clamp(0, 1)

    def margins(at: Tensor, rows: Tensor) -> Tensor:
        del rows
        margin: Tensor = target.margin_of_normalised(at * span + low)
        return margin

    epsilon = EPSILON / span
    climb = PGDConfig(steps=iterations, step=epsilon / 30)  # foolbox's default: 0.01 / 0.3 of the budget
    victim = Victim(margins, clean, labels, tile=TILE)
    return Arena(protocol, victim, victim, epsilon, span, lambda seeds: _in_l2(clean, epsilon, seeds), climb)


def _in_l2(clean: Tensor, norm: float, seeds: Sequence[int]) -> Tensor:
    """Noise of exactly this L2 norm over a whole picture: foolbox's L2AdditiveGaussianNoiseAttack."""
    draws = [torch.randn(clean.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    noise = torch.stack(draws).to(clean.device)
    lengths = noise.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    moved: Tensor = clean + norm * noise / lengths
    return moved.clamp(0, 1)


def carried_out(attack: str, at: Arena, keys: Sequence[str]) -> Tensor:
    """Pictures in the arena's units."""
    seeds = [seed_of(key, attack) for key in keys]
    if attack == "gaussian":
        return at.gaussian(seeds)
    if attack == "fgsm":
        return fgsm(at.victim, at.epsilon)
    if attack == "pgd":
        return pgd(at.victim, at.epsilon, seeds, at.climb)
    return within(deep_fool(at.boundary, steps=at.climb.steps), at.victim.clean, at.epsilon)


def attack_rows(
    target: Differentiable,
    pictures: Sequence[Picture],
    protocol: str,
    side: int | None = None,
    iterations: int = ITERATIONS,
) -> tuple[list[dict[str, Any]], float]:
    """Rows of `ATTACKED` for all four attacks, and seconds of one core. No rows where the protocol cannot be applied."""
    rows: list[dict[str, Any]] = []
    started = time.process_time()
    labels = torch.tensor([int(picture.unsafe) for picture in pictures])
    with at_rest(target):
        at = arena(protocol, target, tensor_of(pictures, side), labels, iterations)
        for attack in ATTACKS if at is not None else ():
            assert at is not None
            rows += _rows_of(target.name, pictures, attack, at)
    return rows, time.process_time() - started


def _rows_of(name: str, pictures: Sequence[Picture], attack: str, at: Arena) -> list[dict[str, Any]]:
    victim, everyone = at.victim, at.victim.all_rows()
    towards = torch.where(victim.labels == 1, 1.0, -1.0)
    before = victim.margin(victim.clean, everyone) * towards
    spent = victim.queries + at.boundary.queries
    results = carried_out(attack, at, [picture.key for picture in pictures])
    if at.protocol == PIXEL:
        results = victim.stored(results, everyone)
    queries = (victim.queries + at.boundary.queries - spent).tolist()
    lead = victim.margin(results, everyone)
    fooled = victim.fooled(lead, everyone).tolist()
    distance = ((results - victim.clean).abs().flatten(1).amax(1) * at.unit).tolist()
    return [
        {
            "key": picture.key,
            "classifier": name,
            "source": picture.source,
            "category": picture.category,
            "protocol": at.protocol,
            "attack": attack,
            "unsafe": picture.unsafe,
            "fooled": fooled[row],
            "margin_before": float(before[row]),
            "margin_after": float(lead[row] * towards[row]),
            "distance": distance[row],
            "queries": queries[row],
        }
        for row, picture in enumerate(pictures)
    ]
