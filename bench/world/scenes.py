"""Fresh scenes for measuring: half on plain grounds, half without style, as the grammar's prompts ask for them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stages.world.draw import Pictures, draw
from stages.world.scene import Scene, compose
from stages.world.vocabulary import GROUNDS, STYLES, VOCABULARY

NAMES = tuple(concept.name for concept in VOCABULARY)
CORE = tuple(concept.name for concept in VOCABULARY if concept.core)
INDEX = {name: i for i, name in enumerate(NAMES)}


def scene_of(rng: np.random.Generator, names: Sequence[str]) -> Scene:
    """A scene of these concepts, with the surroundings' odds of `stages/world/grammar.py`."""
    dice = rng.random(3)
    changed = int(rng.integers(len(STYLES)))  # 0: clutter instead of a style
    return compose(
        rng,
        list(names),
        ground=GROUNDS[0] if dice[0] < 0.5 else GROUNDS[1 + int(rng.integers(len(GROUNDS) - 1))],
        style=STYLES[changed] if dice[1] < 0.5 else STYLES[0],
        clutter=bool(dice[1] < 0.5 and changed == 0),
        stacked=len(names) == 2 and bool(dice[2] < 0.3),
    )


def singles(rng: np.random.Generator, names: Sequence[str], count: int) -> list[Scene]:
    """`count` scenes of one concept, every concept as often (give or take one)."""
    return [scene_of(rng, [names[i % len(names)]]) for i in range(count)]


def pairs(rng: np.random.Generator, names: Sequence[str], count: int) -> list[Scene]:
    """`count` scenes of two different concepts."""
    return [scene_of(rng, [str(n) for n in rng.choice(names, 2, replace=False)]) for _ in range(count)]


def drawn(scenes: Sequence[Scene], vendor: str = "noto") -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """uint8 [N, 64, 64, 3]."""
    pictures = Pictures.load(vendor)
    return np.stack([draw(scene, pictures) for scene in scenes])
