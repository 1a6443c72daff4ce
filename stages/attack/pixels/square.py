"""Random squares, without gradients (Andriushchenko et al. 2020, algorithms 1 and 2, L-infinity)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from stages.attack.pixel_attack import PixelAttack
from stages.attack.victim import Victim, within

SHARE = 0.8  # of the picture that the first square covers: p of the authors' code for L-infinity with few queries
HALVINGS = (
    10,
    50,
    200,
    500,
    1000,
    2000,
    4000,
    6000,
    8000,
)  # iterations of 10,000 at which that share halves (section 4.1)


def square(victim: Victim, epsilon: float, seeds: Sequence[int], queries: int = 500) -> Tensor:
    """Pixels [n, 3, h, w] within `epsilon` after at most `queries` queries a row; `seeds`, one a row, say where and what."""
    clean, rows = victim.clean, victim.all_rows()
    loss, lead = victim.loss(clean, rows)
    best = clean.clone()
    rows = rows[~victim.fooled(lead, rows)]
    channels, height, width = clean.shape[1:]
    draws = [_draws(seed, queries, channels) for seed in seeds]
    for query in range(queries):
        if not len(rows):
            break
        proposed = [
            _stripes(seeds[row], clean[row], epsilon)
            if query == 0
            else _square(best[row], clean[row], epsilon, draws[row][query], _side(query, queries, height, width))
            for row in rows.tolist()
        ]
        pixels = torch.stack(proposed)
        value, lead = victim.loss(pixels, rows)
        fooled = victim.fooled(lead, rows)
        better = (value > loss[rows]) | fooled
        best[rows[better]], loss[rows[better]] = pixels[better], value[better]
        rows = rows[~fooled]
    return best


def _draws(seed: int, queries: int, channels: int) -> Tensor:
    """Uniform [queries, 2 + channels]: where the square lies, and the sign in each channel."""
    return torch.rand((queries, 2 + channels), generator=torch.Generator().manual_seed(seed))


def _side(query: int, queries: int, height: int, width: int) -> int:
    """Of the square, in pixels: at least 1, and never the whole picture."""
    at = query * 10_000 // queries
    share = SHARE / float(2 ** sum(at > mark for mark in HALVINGS))
    return max(1, min(round(math.sqrt(share * height * width)), min(height, width) - 1))


def _stripes(seed: int, clean: Tensor, epsilon: float) -> Tensor:
    """The start: vertical stripes one pixel wide, ± ε in each channel (section 4.2)."""
    generator = torch.Generator().manual_seed(seed ^ 1)
    signs = torch.randint(0, 2, (clean.shape[0], 1, clean.shape[2]), generator=generator).to(clean) * 2 - 1
    return within(clean + epsilon * signs, clean, epsilon)


def _square(best: Tensor, clean: Tensor, epsilon: float, draw: Tensor, side: int) -> Tensor:
    """`best` with one square set to ± ε of the clean picture."""
    top = int(draw[0] * (best.shape[1] - side + 1))
    left = int(draw[1] * (best.shape[2] - side + 1))
    window = (slice(None), slice(top, top + side), slice(left, left + side))
    signs = torch.where(draw[2:] < 0.5, -1.0, 1.0).to(best)[:, None, None]
    proposed = best.clone()
    proposed[window] = within(clean[window] + epsilon * signs, clean[window], epsilon)
    return proposed


@dataclass(frozen=True, kw_only=True)
class Square(PixelAttack):
    """Square attack: needs scores, not gradients. Above a white-box attack it would tell of masked gradients."""

    knowledge: ClassVar[str] = "grey_box"
    query_budget: int = 500

    def perturb(self, victim: Victim, seeds: Sequence[int]) -> Tensor:
        """At most `query_budget` questions a row."""
        return square(victim, self.epsilon, seeds, self.query_budget)
