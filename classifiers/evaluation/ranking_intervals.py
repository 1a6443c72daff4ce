"""How sure AUROC, AUPRC, recall at a rate and ECE are: the figures of `ranking.sql` and `calibration.sql` over draws of roots."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from classifiers.evaluation.intervals import RESAMPLES, Floats, percentiles, times_drawn

RATES = {"recall_at_fpr_001": 0.001, "recall_at_fpr_01": 0.01, "recall_at_fpr_05": 0.05}
BINS = 15
AT_ONCE = 4_000_000  # weights of rows in memory at a time

Bounds = dict[str, float | None]
"""`NAME_low` and `NAME_high`; None where no draw has both safe and unsafe rows."""


def ranking_bounds(scores: Floats, bad: npt.NDArray[np.bool_], roots: npt.NDArray[np.int64]) -> Bounds:
    """95 % percentile intervals of what `ranking.sql` says of these rows; `roots` numbers each row's root from 0."""
    order = np.argsort(-scores, kind="stable")
    scores, bad, roots = scores[order], bad[order], roots[order]
    # Where a step ends: rows of one score are told apart by nothing.
    ends = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))
    resampled: dict[str, list[Floats]] = {}
    for weights in _weights(roots):
        tp, fp = (np.cumsum(weights * side, axis=1)[:, ends] for side in (bad, ~bad))
        unsafe, safe = tp[:, -1:], fp[:, -1:]
        caught, flagged = np.diff(tp, prepend=0.0), np.diff(fp, prepend=0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            resampled.setdefault("auroc", []).append((flagged * (tp - caught / 2)).sum(axis=1) / (unsafe * safe)[:, 0])
            precision = np.where(tp + fp > 0, tp / (tp + fp), 0.0)
            resampled.setdefault("auprc", []).append((caught * precision).sum(axis=1) / unsafe[:, 0])
            for name, rate in RATES.items():
                allowed = np.where(fp <= rate * safe, tp, 0.0).max(axis=1)
                resampled.setdefault(name, []).append(allowed / unsafe[:, 0])
    return _bounds(resampled)


def calibration_bounds(scores: Floats, bad: npt.NDArray[np.bool_], roots: npt.NDArray[np.int64]) -> Bounds:
    """95 % percentile intervals of the ECE, each row in the bin that it has without a draw. A draw's ECE is biased upwards: chance
    opens gaps, and none can be negative.
    """
    order = np.lexsort((bad, scores))
    gaps, roots = (scores - bad)[order], roots[order]
    bins = _ntile(len(gaps), BINS)
    starts = np.flatnonzero(np.append(True, bins[1:] != bins[:-1]))
    resampled: list[Floats] = []
    for weights in _weights(roots):
        with np.errstate(invalid="ignore", divide="ignore"):
            off = np.abs(np.add.reduceat(weights * gaps, starts, axis=1))
            resampled.append(off.sum(axis=1) / weights.sum(axis=1))
    return _bounds({"ece": resampled})


def _weights(roots: npt.NDArray[np.int64]) -> Iterator[Floats]:
    """[draws, rows]: how often each row comes in each draw of roots, some draws at a time."""
    times = times_drawn(int(roots.max()) + 1, 0)
    step = max(1, AT_ONCE // len(roots))
    for first in range(0, RESAMPLES, step):
        yield times[first : first + step][:, roots]


def _ntile(rows: int, bins: int) -> npt.NDArray[np.int64]:
    """As SQL's: the first bins have a row more where they do not come out even."""
    each, more = divmod(rows, bins)
    sizes = [each + (number < more) for number in range(bins)]
    return np.repeat(np.arange(bins), sizes)


def _bounds(resampled: dict[str, list[Floats]]) -> Bounds:
    bounds: Bounds = {}
    for name, parts in resampled.items():
        drawn = np.concatenate(parts)
        known = bool(np.isfinite(drawn).any())
        low, high = percentiles(drawn) if known else (None, None)
        bounds |= {f"{name}_low": low, f"{name}_high": high}
    return bounds
