"""Pictures that show no concept: empty grounds, noise, unknown pictograms, shapes, shuffled pictograms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from jobs.world_training.pictures import NAMES, pictures
from jobs.world_training.unknown import names, unknown_pictures
from stages.world.draw import SIDE, Pictures, draw
from stages.world.scene import Scene, compose
from stages.world.vocabulary import STYLES

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def blank(rng: np.random.Generator) -> Pixels:
    """An empty ground, often with clutter; uint8 [64, 64, 3]."""
    style = STYLES[int(rng.integers(len(STYLES)))]
    return draw(compose(rng, [], style=style, clutter=bool(rng.random() < 0.5)), pictures())


def noise(rng: np.random.Generator) -> Pixels:
    """Uniform or normal noise, fine or coarse."""
    coarse = int(rng.choice([1, 2, 4, 8]))
    side = SIDE // coarse
    if rng.random() < 0.5:
        values = rng.integers(0, 256, (side, side, 3))
    else:
        values = rng.normal(rng.uniform(0, 255, 3), rng.uniform(10, 80), (side, side, 3)).clip(0, 255)
    return values.astype(np.uint8).repeat(coarse, 0).repeat(coarse, 1)


def unknown(rng: np.random.Generator, *, held_out: bool = False) -> Pixels:
    """One or two pictograms that are no concept of the world."""
    count = 1 + int(rng.random() < 0.4)
    style = STYLES[0] if rng.random() < 0.6 else STYLES[int(rng.integers(len(STYLES)))]
    scene = compose(rng, list(NAMES[:count]), style=style, stacked=bool(rng.random() < 0.3))
    chosen = rng.choice(names(held_out=held_out), count, replace=False)
    renamed = tuple(replace(p, concept=str(name)) for p, name in zip(scene.pictograms, chosen, strict=True))
    return draw(replace(scene, pictograms=renamed), unknown_pictures() if held_out else _recoloured(rng))


@lru_cache(maxsize=16)
def _variant(number: int) -> Pictures:
    """The unknown pictograms with their colours permuted, mirrored or upside down: more strangers than there are."""
    red, green, blue, alpha = 0, 1, 2, 3
    orders = ((red, green, blue), (green, red, blue), (blue, green, red), (green, blue, red))
    order, upended = orders[number % 4], number // 4
    sprites = {}
    for name, sprite in unknown_pictures().sprites.items():
        pixels = np.asarray(sprite)[:, :, [*order, alpha]]
        pixels = pixels[::-1] if upended == 1 else pixels.transpose(1, 0, 2) if upended == 2 else pixels
        sprites[name] = Image.fromarray(np.ascontiguousarray(pixels))
    return Pictures("unknown", sprites)


def _recoloured(rng: np.random.Generator) -> Pictures:
    return _variant(0 if rng.random() < 0.5 else int(rng.integers(1, 12)))


def shuffled(rng: np.random.Generator) -> Pixels:
    """A pictogram cut into 8-px tiles in another order: its colours and textures, but not the thing."""
    scene: Scene = compose(rng, [str(rng.choice(NAMES))])
    picture = draw(scene, pictures())
    tiles = picture.reshape(8, 8, 8, 8, 3).swapaxes(1, 2).reshape(64, 8, 8, 3)
    mixed = tiles[rng.permutation(64)].reshape(8, 8, 8, 8, 3).swapaxes(1, 2)
    return np.ascontiguousarray(mixed.reshape(SIDE, SIDE, 3))


_KINDS: tuple[tuple[float, Callable[[np.random.Generator], Pixels]], ...] = (
    (0.14, blank),
    (0.06, noise),
    (0.74, unknown),
    (0.06, shuffled),
)


def negatives(rng: np.random.Generator, count: int) -> Tensor:
    """uint8 [count, 64, 64, 3] without any concept."""
    kinds = rng.choice(len(_KINDS), count, p=[share for share, _ in _KINDS])
    return torch.from_numpy(np.stack([_KINDS[kind][1](rng) for kind in kinds]))
