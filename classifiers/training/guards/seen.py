"""What the reader sees in pictures drawn anew: as they are, with what they show hidden, and with what they lack feigned."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from classifiers.layers.concept_reader import ConceptNet
from classifiers.training.concept_reader.attack import LEVEL, Objective, Strength, attacked
from classifiers.training.concept_reader.scenes import CONCEPTS, labelled, training_scenes
from classifiers.training.concept_reader.training import as_batch
from stages.world.scene import Scene, compose
from stages.world.vocabulary import BY_NAME, STYLES

AMBIVALENT = tuple(name for name in CONCEPTS if BY_NAME[name].kind == "ambivalent")
ALONE = 0.4  # of the pictures, those of one ambivalent concept: what words may turn
STRENGTH = Strength(least=2 * LEVEL, most=2.5 * LEVEL, clean=0.0, on_safe=1.0, steps=5)
PART = 64


@dataclass(frozen=True, eq=False)
class SeenPictures:
    """`scenes`, and the reader's logits of their pictures, float32 [n, concepts] each: `clean`, `hidden`, `feigned`."""

    scenes: tuple[Scene, ...]
    clean: Tensor
    hidden: Tensor
    feigned: Tensor


def scenes_of(seed: int, count: int) -> tuple[Scene, ...]:
    """As the reader's training draws them, and single concepts that words may turn."""
    rng = np.random.default_rng(seed)
    drawn = training_scenes(rng)

    def alone() -> Scene:
        return compose(rng, [str(rng.choice(AMBIVALENT))], style=STYLES[0], clutter=bool(rng.random() < 0.1))

    return tuple(alone() if rng.random() < ALONE else next(drawn) for _ in range(count))


def seen(network: ConceptNet, seed: int, count: int) -> SeenPictures:
    """By attacks of some steps at a little over 2/255."""
    scenes = scenes_of(seed, count)
    batch = as_batch(labelled(scenes), network)
    columns = torch.tensor([CONCEPTS.index(name) for name in AMBIVALENT])
    nothing = torch.zeros(len(scenes), dtype=torch.bool)

    def hiding(shown: Tensor) -> Objective:
        return lambda logits: -(logits * shown).sum(1)

    def feigning(shown: Tensor) -> Objective:
        absent = (1 - shown)[:, columns].log()
        return lambda logits: (logits[:, columns] + absent).logsumexp(1)

    def read(objective: Callable[[Tensor], Objective] | None) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        scores = []
        for rows in torch.split(torch.arange(len(scenes)), PART):
            pixels = batch.pixels[rows]
            if objective is not None:
                aim = objective(batch.concepts[rows])
                pixels = attacked(network, pixels, nothing[rows], STRENGTH, generator, aim)
            with torch.no_grad():
                scores.append(network(pixels))
        return torch.cat(scores)

    return SeenPictures(scenes, read(None), read(hiding), read(feigning))
