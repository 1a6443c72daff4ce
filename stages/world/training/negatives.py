"""Pictures that show no concept: empty grounds, noise, unknown pictograms, shapes, shuffled pictograms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from stages.world.draw import SIDE, Pictures, draw
from stages.world.scene import Scene, compose
from stages.world.training.scene_batches import NAMES, pictures
from stages.world.training.unknown_pictograms import names, unknown_pictures
from stages.world.vocabulary import STYLES

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def blank(rng: np.random.Generator, *, styles: Sequence[str] = STYLES) -> Pixels:
    """An empty ground, often with clutter; uint8 [64, 64, 3]."""
    style = styles[int(rng.integers(len(styles)))]
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


def unknown(rng: np.random.Generator, *, held_out: bool = False, styles: Sequence[str] = STYLES) -> Pixels:
    """One or two pictograms that are no concept of the world."""
    count = 1 + int(rng.random() < 0.4)
    style = styles[0] if rng.random() < 0.6 else styles[int(rng.integers(len(styles)))]
    scene = compose(rng, list(NAMES[:count]), style=style, stacked=bool(rng.random() < 0.3))
    chosen = rng.choice(names(held_out=held_out), count, replace=False)
    renamed = tuple(replace(p, concept=str(name)) for p, name in zip(scene.pictograms, chosen, strict=True))
    return draw(
        replace(scene, pictograms=renamed), unknown_pictures() if held_out else _strangers(rng, chosen.tolist())
    )


def _strangers(rng: np.random.Generator, chosen: Sequence[str]) -> Pictures:
    """The chosen sprites of training, two thirds of them changed: more strangers than there are."""
    sprites = unknown_pictures().sprites
    return Pictures(
        "unknown",
        {name: sprites[name] if rng.random() < 0.33 else _changed(rng, sprites[name]) for name in chosen},
    )


def _changed(rng: np.random.Generator, sprite: Image.Image) -> Image.Image:
    """The sprite with its colours permuted or turned, or half of it another one's; uint8 RGBA as it came."""
    pixels = np.asarray(sprite)
    dice = rng.random(4)
    if dice[0] < 0.45:
        known = names(held_out=False)
        other = np.asarray(unknown_pictures().sprites[known[int(rng.integers(len(known)))]])
        rows, columns = np.mgrid[0 : pixels.shape[0], 0 : pixels.shape[1]]
        angle = 2 * np.pi * dice[1]
        beyond = (columns - 31.5) * np.cos(angle) + (rows - 31.5) * np.sin(angle) > 0
        pixels = np.where(beyond[:, :, None], other, pixels)
    if dice[2] < 0.55:
        pixels = pixels[:, :, [*rng.permutation(3), 3]]
    if dice[3] < 0.5:
        pixels = np.rot90(pixels, int(rng.integers(4)))
        pixels = pixels[:, ::-1] if rng.random() < 0.5 else pixels
    return Image.fromarray(np.ascontiguousarray(pixels))


def shuffled(rng: np.random.Generator) -> Pixels:
    """A pictogram cut into 8-px tiles in another order: its colours and textures, but not the thing."""
    scene: Scene = compose(rng, [str(rng.choice(NAMES))])
    picture = draw(scene, pictures())
    tiles = picture.reshape(8, 8, 8, 8, 3).swapaxes(1, 2).reshape(64, 8, 8, 3)
    mixed = tiles[rng.permutation(64)].reshape(8, 8, 8, 8, 3).swapaxes(1, 2)
    return np.ascontiguousarray(mixed.reshape(SIDE, SIDE, 3))


_KINDS: tuple[tuple[float, Callable[[np.random.Generator], Pixels]], ...] = (
    (0.09, blank),
    (0.04, noise),
    (0.82, unknown),
    (0.05, shuffled),
)


def negatives(rng: np.random.Generator, count: int) -> Tensor:
    """uint8 [count, 64, 64, 3] without any concept."""
    kinds = rng.choice(len(_KINDS), count, p=[share for share, _ in _KINDS])
    return torch.from_numpy(np.stack([_KINDS[kind][1](rng) for kind in kinds]))
