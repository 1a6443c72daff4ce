"""How two sources of pictures differ (figures 11 and 13 of UnsafeBench): noise, edges, entropy, and where CLIP puts them."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from schemas.sample import Pixels

Floats = npt.NDArray[np.float64]

EDGE = 100.0  # levels of the Sobel gradient that make an edge; the paper names no threshold
FLATTEST = 1e-6  # of the variance, for a picture of one colour
MEASURES = ("snr", "edge_density", "entropy")


def quality(pixels: Pixels) -> dict[str, float]:
    """Of one picture, in grey: `snr` 10 log10(mean² / variance) in dB, `edge_density` in [0, 1], `entropy` in bits of 8."""
    grey = pixels.astype(np.float64) @ np.array([0.299, 0.587, 0.114])  # ITU-R 601-2
    levels = np.bincount(grey.round().astype(np.int64).ravel(), minlength=256) / grey.size
    shares = levels[levels > 0]
    return {
        "snr": float(10 * np.log10(max(grey.mean() ** 2, FLATTEST) / max(grey.var(), FLATTEST))),
        "edge_density": float((_sobel(grey) > EDGE).mean()),
        "entropy": float(-(shares * np.log2(shares)).sum()),
    }


def _sobel(grey: Floats) -> Floats:
    padded = np.pad(grey, 1, mode="edge")
    rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    columns = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    found: Floats = np.hypot(rows[:, 2:] - rows[:, :-2], columns[2:] - columns[:-2])
    return found


def map_of(vectors: npt.NDArray[np.float32], seed: int = 0) -> Floats:
    """float64 [n, 2]: t-SNE (van der Maaten & Hinton 2008) of CLIP's vectors."""
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(vectors) - 1) / 3)
    found: Floats = TSNE(random_state=seed, perplexity=perplexity, init="pca").fit_transform(vectors)
    return found


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
