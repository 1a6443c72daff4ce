"""How two sources of pictures differ (figures 11 and 13 of UnsafeBench): noise, edges, entropy, and where CLIP puts them."""

from collections.abc import Sequence
from math import log10

import numpy as np
import numpy.typing as npt

from schemas.sample import Pixels
from stages.signature.quality import quality

Floats = npt.NDArray[np.float64]

MEASURES = ("snr_db", "edge_density", "entropy")


def quality_in_decibels(pixels: Pixels) -> dict[str, float | None]:
    """`MEASURES` of one picture, uint8 [height, width, 3], as its signatures have them (`stages.signature.quality`), but for the
    unit of the first: 20 log10(mean / standard deviation) of the grey values; None where a picture is flat or black.
    """
    statistics = quality(pixels)
    snr = statistics["snr"]
    return {
        "snr_db": 20 * log10(snr) if snr else None,
        "edge_density": statistics["edge_density"],
        "entropy": statistics["entropy"],
    }


def map_of(vectors: npt.NDArray[np.float32], seed: int = 0) -> Floats:
    """float64 [n, 2]: t-SNE (van der Maaten & Hinton 2008) of CLIP's vectors."""
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(vectors) - 1) / 3)
    points: Floats = TSNE(random_state=seed, perplexity=perplexity, init="pca").fit_transform(vectors)
    return points


def separation(vectors: npt.NDArray[np.float32], sources: Sequence[str], seed: int = 0) -> float:
    """Share of pictures whose source a logistic regression tells from CLIP's vectors, in 5-fold cross-validation: the shift that
    figure 11 shows, as a number. 0.5 is none where both are as many.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    model = LogisticRegression(max_iter=1000, class_weight="balanced")
    scores = cross_val_score(model, vectors, list(sources), cv=folds, scoring="balanced_accuracy")
    return float(scores.mean())
