"""A figure is a value with its n and its 95 % interval; nothing is printed without them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Figure = dict[str, Any]
_Z = 1.959964  # 97.5 % quantile of the normal distribution


def share(hits: npt.ArrayLike, target: float | None = None) -> Figure:
    """A proportion of independent hits, with Wilson's interval."""
    array = np.asarray(hits, dtype=np.float64)
    n, p = len(array), float(array.mean())
    middle = (p + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))
    return _figure(p, n, (middle - half, middle + half), target)


def resampled(
    statistic: Callable[[npt.NDArray[np.int64]], float], n: int, target: float | None = None, rounds: int = 1000
) -> Figure:
    """`statistic(indices)` over n independent units (pictures, prompts), with a percentile bootstrap interval."""
    rng = np.random.default_rng(0)
    values = [statistic(rng.integers(0, n, n)) for _ in range(rounds)]
    low, high = np.nanquantile(values, [0.025, 0.975])
    return _figure(statistic(np.arange(n)), n, (float(low), float(high)), target)


def without_target(figure: Figure) -> Figure:
    """The figure, where the target is meant for another way to measure it."""
    return {key: value for key, value in figure.items() if key not in ("target", "reached")}


def _figure(value: float, n: int, interval: tuple[float, float], target: float | None) -> Figure:
    figure: Figure = {"value": round(value, 4), "n": n, "ci95": [round(v, 4) for v in interval]}
    if target is not None:
        figure |= {"target": target, "reached": value >= target}
    return figure
