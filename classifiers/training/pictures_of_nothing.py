"""Pictures in which there is nothing to recognise: uint8 [64, 64, 3], drawn from a generator of random numbers."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Pixels = NDArray[np.uint8]
Maker = Callable[[np.random.Generator], Pixels]
SIDE = 64


def surface(draw: np.random.Generator) -> Pixels:
    """One colour; white and black more often than chance has them."""
    colour = draw.choice([0, 255]) * np.ones(3) if draw.random() < 0.2 else draw.integers(0, 256, 3)
    pixels: Pixels = np.ones((SIDE, SIDE, 3), np.uint8) * colour.astype(np.uint8)
    return pixels


def white_noise(draw: np.random.Generator) -> Pixels:
    return draw.integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)


def grain(draw: np.random.Generator) -> Pixels:
    """A surface with noise."""
    noisy: Pixels = (surface(draw) + draw.normal(0, draw.uniform(3, 60), (SIDE, SIDE, 3))).clip(0, 255).astype(np.uint8)
    return noisy


def gradient(draw: np.random.Generator) -> Pixels:
    return _between(draw, _slope(draw))


def stripes(draw: np.random.Generator) -> Pixels:
    return _between(draw, (np.sin(_slope(draw) * draw.uniform(5, 120)) > 0).astype(float))


def clouds(draw: np.random.Generator) -> Pixels:
    """Noise of five octaves."""
    total = np.zeros((SIDE, SIDE, 3))
    fall = draw.uniform(0.3, 1.2)
    for cells in (2, 4, 8, 16, 32):
        layer = draw.normal(size=(cells, cells, 3)).astype(np.float32)
        channels = [Image.fromarray(layer[..., at]).resize((SIDE, SIDE), Image.Resampling.BICUBIC) for at in range(3)]
        total += np.stack([np.asarray(channel) for channel in channels], axis=-1) * cells**-fall
    grey: Pixels = ((total - total.min()) / np.ptp(total) * 255).astype(np.uint8)
    return grey


def scribble(draw: np.random.Generator) -> Pixels:
    """Some lines on a surface."""
    image = Image.fromarray(surface(draw))
    pen = ImageDraw.Draw(image)
    for _ in range(draw.integers(1, 12)):
        points = [(int(x), int(y)) for x, y in draw.integers(0, SIDE, (draw.integers(2, 5), 2))]
        red, green, blue = (int(value) for value in draw.integers(0, 256, 3))
        pen.line(points, fill=(red, green, blue), width=int(draw.integers(1, 6)))
    return np.asarray(image)


def chequers(draw: np.random.Generator) -> Pixels:
    size = draw.integers(2, 17)
    y, x = np.mgrid[:SIDE, :SIDE]
    return _between(draw, (((x // size) + (y // size)) % 2).astype(float))


def rings(draw: np.random.Generator) -> Pixels:
    y, x = np.mgrid[:SIDE, :SIDE]
    far = np.hypot(y - draw.uniform(0, SIDE), x - draw.uniform(0, SIDE))
    return _between(draw, (np.sin(far / draw.uniform(1, 6)) + 1) / 2)


def _slope(draw: np.random.Generator) -> NDArray[np.float64]:
    """Rising from 0 to 1 in some direction."""
    angle = draw.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:SIDE, :SIDE]
    rising = np.cos(angle) * x + np.sin(angle) * y
    return np.asarray((rising - rising.min()) / np.ptp(rising))


def _between(draw: np.random.Generator, share: NDArray[np.float64]) -> Pixels:
    """Two colours mixed by `share` [SIDE, SIDE]."""
    first, second = draw.integers(0, 256, 3), draw.integers(0, 256, 3)
    mixed: Pixels = (first + (second - first) * share[..., None]).clip(0, 255).astype(np.uint8)
    return mixed


KINDS: dict[str, Maker] = {
    maker.__name__: maker for maker in (surface, white_noise, grain, gradient, stripes, clouds, scribble)
}
UNMET: dict[str, Maker] = {maker.__name__: maker for maker in (chequers, rings)}
"""Never trained on: they show what becomes of kinds that were not thought of."""
