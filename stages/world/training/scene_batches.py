"""Scenes to train on: which concepts, how many, in which style, drawn to tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stages.world.draw import Pictures, draw
from stages.world.scene import Pictogram, Scene, compose
from stages.world.vocabulary import GROUNDS, STYLES, VOCABULARY

INDEX = {concept.name: index for index, concept in enumerate(VOCABULARY)}
CORE = tuple(concept.name for concept in VOCABULARY if concept.core)
NAMES = tuple(INDEX)


@dataclass(frozen=True)
class SceneMixture:
    """How often a scene shows what. Shares in [0, 1]; the rest of the scenes show one pictogram."""

    pairs: float = 0.3
    triples: float = 0.0
    twins: float = 0.04  # two of a kind
    plain: float = 0.4  # plain ground, any other alike
    normal: float = 0.6  # no style, any other alike
    clutter: float = 0.1
    core: float = 2.0  # a core concept is this many times as frequent as another one
    calm: float = 1.0  # spread of place and angle; 1 as composed, 0 always in the same place and upright


def _chances(core: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    weights = np.array([core if concept.core else 1.0 for concept in VOCABULARY])
    chances: np.ndarray[Any, np.dtype[np.float64]] = weights / weights.sum()
    return chances


def sample_scene(rng: np.random.Generator, mixture: SceneMixture) -> Scene:
    """One scene of the mixture."""
    dice = rng.random(5)
    chances = _chances(mixture.core)
    if dice[0] < mixture.triples:
        names = rng.choice(NAMES, 3, replace=False, p=chances)
    elif dice[0] < mixture.triples + mixture.pairs:
        names = rng.choice(NAMES, 2, replace=False, p=chances)
    elif dice[0] < mixture.triples + mixture.pairs + mixture.twins:
        names = np.repeat(rng.choice(NAMES, 1, p=chances), 2)
    else:
        names = rng.choice(NAMES, 1, p=chances)
    scene = compose(
        rng,
        [str(name) for name in names],
        ground=GROUNDS[0] if dice[1] < mixture.plain else str(rng.choice(GROUNDS[1:])),
        style=STYLES[0] if dice[2] < mixture.normal else str(rng.choice(STYLES[1:])),
        stacked=len(names) == 2 and bool(dice[3] < 0.3),
        clutter=bool(dice[4] < mixture.clutter),
    )
    return scene if mixture.calm == 1.0 else calmed(scene, mixture.calm)


def calmed(scene: Scene, spread: float) -> Scene:
    """The scene with pictograms of size nearer the largest, turned less and nearer their usual places."""
    largest = {1: 0.86, 2: 0.5, 3: 0.35}[max(1, len(scene.pictograms))]

    def calm(p: Pictogram) -> Pictogram:
        alone = len(scene.pictograms) == 1
        x = 0.5 + (p.x - 0.5) * spread if alone or scene.stacked else p.x
        y = 0.5 + (p.y - 0.5) * spread if alone or not scene.stacked else p.y
        return replace(p, x=x, y=y, size=largest + (p.size - largest) * spread, angle=p.angle * spread)

    return replace(scene, pictograms=tuple(calm(p) for p in scene.pictograms))


@lru_cache(maxsize=2)
def pictures(vendor: str = "noto") -> Pictures:
    """The pictograms of one vendor, loaded once a process."""
    return Pictures.load(vendor)


def render(scenes: Sequence[Scene], vendor: str = "noto") -> Tensor:
    """uint8 [B, 64, 64, 3]."""
    return torch.from_numpy(np.stack([draw(scene, pictures(vendor)) for scene in scenes]))


def as_pixels(rendered: Tensor) -> Tensor:
    """uint8 [B, H, W, 3] in [0, 255] -> float32 [B, 3, H, W] in [-1, 1], what diffusion and CLIP take."""
    return rendered.permute(0, 3, 1, 2).float() / 127.5 - 1.0


def shown(scenes: Sequence[Scene]) -> Tensor:
    """float32 [B, concepts]: 1 where the scene shows the concept."""
    labels = torch.zeros(len(scenes), len(VOCABULARY))
    for row, scene in enumerate(scenes):
        for name in scene.concepts:
            labels[row, INDEX[name]] = 1.0
    return labels


def cells(scenes: Sequence[Scene], side: int) -> Tensor:
    """int64 [B, side, side]: 0 for ground, 1 + index of the concept whose box holds the middle of the cell.

    Dense labels cost nothing here and teach a picture encoder several times faster than one label a picture.
    """
    labels = np.zeros((len(scenes), side, side), dtype=np.int64)
    middles = (np.arange(side) + 0.5) / side
    for row, scene in enumerate(scenes):
        for name, (left, top, right, bottom) in zip(scene.concepts, scene.boxes, strict=True):
            inside_x = (middles > left) & (middles < right)
            inside_y = (middles > top) & (middles < bottom)
            labels[row][np.outer(inside_y, inside_x)] = INDEX[name] + 1
    return torch.from_numpy(labels)
