"""The threshold of a judge whose training saw as many unsafe questions as safe ones, which pictures are not."""

import numpy as np
import torch
from numpy.typing import NDArray

from classifiers.data.labelled_pictures import LabelledPictures
from classifiers.families.perspective import Perspective

BATCH = 64


@torch.no_grad()
def best_threshold(model: Perspective, validation: LabelledPictures) -> float:
    """Of the greatest F1 on these pictures under the whole scope, halfway between two scores; 0.5 where none is unsafe."""
    scores = [model.score(inputs).unsafe["image"] for _, inputs in validation.batches(BATCH)]
    return best_cut(torch.cat(scores).double().numpy(), np.array([row.unsafe for row in validation.rows]))


def best_cut(scores: NDArray[np.float64], unsafe: NDArray[np.bool_]) -> float:
    """Above it is flagged. Scores and truth [n]; of equal cuts the lowest."""
    if not unsafe.any():
        return 0.5
    order = np.argsort(-scores, kind="stable")
    values, hits = scores[order], np.cumsum(unsafe[order])
    f1 = 2 * hits / (np.arange(1, len(hits) + 1) + unsafe.sum())
    below = np.append(values[1:], 0.0)
    f1[values == below] = 0.0  # no cut lies between equal scores
    last = len(f1) - 1 - int(np.argmax(f1[::-1]))
    return float((values[last] + below[last]) / 2)
