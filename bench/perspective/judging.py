"""What each method says of each picture, and the figures made of that: F1, gaps, and what a narrower scope changes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from bench.perspective.sets import TestSet
from bench.world.figures import Figure, resampled, share
from classifiers.families.perspective import Perspective
from schemas.protocols import Inputs, Scorer

Flags = npt.NDArray[np.bool_]
BATCH = 64


@torch.no_grad()
def flags(model: Scorer, pictures: TestSet, index: Sequence[int] | None = None) -> Flags:
    """bool [n]: the decision on each picture."""
    rows = list(range(len(pictures))) if index is None else list(index)
    flagged = [
        model.score(Inputs(("",) * len(part), pictures.tensor(part))).unsafe["image"] > model.threshold
        for part in (rows[first : first + BATCH] for first in range(0, len(rows), BATCH))
    ]
    return torch.cat(flagged).numpy() if flagged else np.zeros(0, dtype=np.bool_)


def f1(predicted: Flags, unsafe: Flags) -> float:
    """Of the class unsafe; 0 where nothing was found."""
    hits = int((predicted & unsafe).sum())
    return 2 * hits / max(1, int(predicted.sum()) + int(unsafe.sum()))


def f1_figure(predicted: Flags, unsafe: Flags) -> Figure:
    """With a bootstrap interval over pictures."""
    return resampled(lambda rows: f1(predicted[rows], unsafe[rows]), len(unsafe))


def averages(predicted: Sequence[Flags], unsafe: Sequence[Flags]) -> list[float]:
    """1,000 draws of the mean F1 over sets, each resampled by itself; the first is of the sets as they are."""
    rng = np.random.default_rng(0)
    draws = [[np.arange(len(each)) for each in unsafe]]
    draws += [[rng.integers(0, len(each), len(each)) for each in unsafe] for _ in range(1000)]
    return [
        float(np.mean([f1(s[rows], u[rows]) for s, u, rows in zip(predicted, unsafe, draw, strict=True)]))
        for draw in draws
    ]


def gap(better: Sequence[Flags], worse: Sequence[Flags], unsafe: Sequence[Flags]) -> dict[str, Any]:
    """Mean F1 of one method less that of another on the same draws, with a 95 % interval."""
    both = zip(averages(better, unsafe), averages(worse, unsafe), strict=True)
    first, *draws = [a - b for a, b in both]
    low, high = np.quantile(draws, [0.025, 0.975])
    return {"value": round(first, 4), "ci95": [round(float(low), 4), round(float(high), 4)], "holds": first >= 0}


def narrowing(model: Perspective, pictures: TestSet) -> dict[str, Figure]:
    """Of the unsafe pictures that the whole scope flags: how many are safe once their categories are out of scope, and how many
    stay unsafe when only these are in it.
    """
    caught: list[int] = np.flatnonzero(flags(model, pictures) & pictures.unsafe).tolist()
    safe_without, unsafe_within = [], []
    for own in sorted({pictures.categories[row] for row in caught}):
        rows = [row for row in caught if pictures.categories[row] == own]
        rest = [name for name in model.known if name not in own]
        safe_without += list(~flags(model.within(rest), pictures, rows))
        unsafe_within += list(flags(model.within(own), pictures, rows))
    return {"safe_outside": share(safe_without), "unsafe_inside": share(unsafe_within)}
