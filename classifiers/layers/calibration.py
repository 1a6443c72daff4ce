"""Thresholds from validation rows: where a margin has to be cut so that at most a given share of one label lies beyond."""

from torch import Tensor

from schemas.errors import InputError

SLACK = 1e-3  # logits between a cut and the row below it, at most: more than rounding on another machine
FARTHEST = 12.0  # a cut in logits: 1 - sigmoid(12) is 6e-6, still many float32 away from 0


def cut_of_safe(margins: Tensor, unsafe: Tensor, false_positive_rate: float) -> float:
    """`lowest_cut` within `FARTHEST` of 0, so that its sigmoid can be written down."""
    return bounded(lowest_cut(margins, unsafe, false_positive_rate))


def lowest_cut(margins: Tensor, unsafe: Tensor, false_positive_rate: float) -> float:
    """The lowest cut with at most this share of the safe rows above it, just above the first that is not.

    `margins` and `unsafe` are [n]; rows of unknown label (NaN) do not count. Raises InputError where no row is safe, and for
    a share outside (0, 1).
    """
    if not 0 < false_positive_rate < 1:
        raise InputError(f"a false-positive rate of {false_positive_rate}: expected a share in (0, 1), say 0.05")
    safe = margins[unsafe == 0].double().sort(descending=True).values
    if not len(safe):
        raise InputError(
            "no validation row is known to be safe, and thresholds are set on those; label more, or another val split"
        )
    allowed = int(false_positive_rate * len(safe) + 1e-9)
    last = safe[min(allowed, len(safe) - 1)].item()  # the greatest one that must not be flagged
    next_ = safe[allowed - 1].item() if allowed else last + SLACK
    return last + max(1e-6, min(next_ - last, SLACK) / 2)


def cut_of_unsafe(margins: Tensor, unsafe: Tensor, missed: float) -> float:
    """The highest cut with at most this share of the unsafe rows at or below it. Arguments and errors as in `cut_of_safe`."""
    return -cut_of_safe(-margins, 1 - unsafe, missed) if bool((unsafe == 1).any()) else -FARTHEST


def bounded(cut: float) -> float:
    """Within `FARTHEST` of 0."""
    return max(-FARTHEST, min(FARTHEST, cut))
