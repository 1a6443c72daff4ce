"""How well the tagger reads renders: one concept, two, none, and another vendor's drawings."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bench.world.figures import Figure, resampled, share
from bench.world.models import Models, tag
from bench.world.scenes import INDEX, NAMES, drawn, pairs, singles
from stages.world.scene import Scene
from stages.world.training.negatives import blank, noise, unknown

NONE = len(NAMES)


def top1(probabilities: Tensor, scenes: list[Scene]) -> list[bool]:
    """Whether the likeliest label, `none` included, is the scene's first concept."""
    truth = torch.tensor([INDEX[scene.concepts[0]] for scene in scenes])
    hits: list[bool] = (probabilities.argmax(1) == truth).tolist()
    return hits


def found(
    models: Models, probabilities: Tensor, scenes: list[Scene]
) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """Bool [N, 2]: whether each concept of a pair is over its threshold."""
    over = (probabilities >= models.thresholds).numpy()
    return np.array([[over[i, INDEX[name]] for name in scene.concepts] for i, scene in enumerate(scenes)])


def said_none(models: Models, probabilities: Tensor) -> list[bool]:
    """Whether no concept is over its threshold, or `none` is likelier than each."""
    quiet = (probabilities[:, :NONE] < models.thresholds[:NONE]).all(1)
    hits: list[bool] = (quiet | (probabilities.argmax(1) == NONE)).tolist()
    return hits


def measure(models: Models) -> dict[str, Figure]:
    rng = np.random.default_rng(70_001)
    ones = singles(rng, NAMES, 5 * len(NAMES))
    twos = pairs(rng, NAMES, 600)
    hits = found(models, tag(models, drawn(twos)), twos)
    extra = (tag(models, drawn(ones))[:, :NONE] >= models.thresholds[:NONE]).sum(1) - 1
    nothing = {
        "blank": np.stack([blank(rng) for _ in range(150)]),
        "noise": np.stack([noise(rng) for _ in range(150)]),
        "unknown": np.stack([unknown(rng, held_out=True) for _ in range(300)]),
    }
    none = {name: said_none(models, tag(models, pictures)) for name, pictures in nothing.items()}
    return {
        "tagger_single": share(top1(tag(models, drawn(ones)), ones), 0.98),
        "tagger_single_false_labels": share((extra > 0).tolist()),
        "tagger_pair_recall": resampled(lambda i: float(hits[i].mean()), len(hits), 0.95),
        "tagger_pair_both": share(hits.all(1)),
        "tagger_none": share([hit for each in none.values() for hit in each], 0.95),
        **{f"tagger_none_{name}": share(each) for name, each in none.items()},
        "tagger_second_vendor": share(top1(tag(models, drawn(ones, "twemoji")), ones)),
    }
