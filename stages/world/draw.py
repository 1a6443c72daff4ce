"""Scene -> 64x64 picture, from one vendor's pictograms. Deterministic: the same scene gives the same bytes."""

import json
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from pipeline.storage.image_codec import open_sprites
from stages.world.scene import Pictogram, Scene
from stages.world.vocabulary import ASSETS, BY_NAME, COLOURS

SIDE = 64  # pixels: of a picture and of a sprite in the atlas
COLUMNS = 12  # sprites in a row of the atlas
VENDORS = ("noto", "twemoji")  # drawn in training; held out

Pixels = npt.NDArray[np.uint8]
_FloatMask = npt.NDArray[np.float32]
_CACHED_SIZES = 8192  # at ~5 kB each; all concepts at all sizes are ~4,500


@dataclass(frozen=True)
class Pictures:
    """One vendor's sprites: concept name -> 64x64 RGBA."""

    vendor: str
    sprites: dict[str, Image.Image]
    _resized: dict[tuple[str, int], Image.Image] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def load(cls, vendor: str = "noto") -> "Pictures":
        """Read the committed atlas; `make world-data` builds it anew."""
        order = json.loads((ASSETS / "pictures" / "order.json").read_text())
        missing = BY_NAME.keys() - set(order)
        if vendor not in VENDORS or missing:
            raise ValueError(f"atlas of {vendor!r} (known: {VENDORS}) lacks {sorted(missing)}: run `make world-data`")
        sheet = open_sprites(ASSETS / "pictures" / f"{vendor}.png")
        cells = ((i % COLUMNS * SIDE, i // COLUMNS * SIDE) for i in range(len(order)))
        return cls(vendor, {n: sheet.crop((x, y, x + SIDE, y + SIDE)) for n, (x, y) in zip(order, cells, strict=True)})

    def sprite(self, pictogram: Pictogram) -> Image.Image:
        """The sprite at its size and angle, with room for its corners: RGBA."""
        pixels = max(4, round(pictogram.size * SIDE))
        key = (pictogram.concept, pixels)
        padded = self._resized.get(key)
        if padded is None:
            room = round(pixels * 0.12)  # (cos 15° + sin 15° - 1) / 2 = 0.112
            padded = Image.new("RGBA", (pixels + 2 * room, pixels + 2 * room))
            padded.paste(
                self.sprites[pictogram.concept].resize((pixels, pixels), Image.Resampling.LANCZOS), (room, room)
            )
            if len(self._resized) < _CACHED_SIZES:
                self._resized[key] = padded
        return padded.rotate(pictogram.angle, Image.Resampling.BILINEAR) if pictogram.angle else padded


def draw(scene: Scene, pictures: Pictures) -> Pixels:
    """uint8 [64, 64, 3]."""
    canvas = _ground(scene)
    if scene.clutter:
        _strew(canvas, scene.clutter)
    for pictogram in scene.pictograms:
        sprite = pictures.sprite(pictogram)
        left = round(pictogram.x * SIDE - sprite.width / 2)
        top = round(pictogram.y * SIDE - sprite.height / 2)
        canvas.paste(sprite, (left, top), sprite)
    return np.asarray(_in_style(canvas, scene.style), dtype=np.uint8)


@cache
def _mask(ground: str) -> _FloatMask:
    """Share of the second colour, float32 [64, 64, 1] in [0, 1]."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    if ground == "plain":
        share = np.zeros((SIDE, SIDE))
    elif ground == "gradient":
        share = rows / (SIDE - 1)
    elif ground == "striped":
        share = (rows + columns) // 8 % 2
    elif ground == "checkered":
        share = (rows // 8 + columns // 8) % 2
    elif ground == "dotted":
        share = ((rows % 16 - 7.5) ** 2 + (columns % 16 - 7.5) ** 2 < 16).astype(np.float64)
    else:
        raise ValueError(f"unknown ground {ground!r}")
    return share.astype(np.float32)[:, :, None]


@cache
def _backdrop(ground: str, colour: str, second_colour: str) -> Image.Image:
    first = np.array(COLOURS[colour], dtype=np.float32)
    second = np.array(COLOURS[second_colour], dtype=np.float32)
    # Textures stay nearer to the main colour: a pictogram must not drown, and the prompt's colour must be the main one.
    share = _mask(ground) * (1.0 if ground == "gradient" else 0.45)
    return Image.fromarray(np.rint(first + share * (second - first)).astype(np.uint8))


def _ground(scene: Scene) -> Image.Image:
    return _backdrop(scene.ground, scene.colour, scene.second_colour).copy()


def _strew(canvas: Image.Image, seed: int) -> None:
    """Some small neutral shapes, where and which fixed by the seed."""
    rng = np.random.default_rng(seed)
    pen = ImageDraw.Draw(canvas)
    numbers = rng.random((int(rng.integers(5, 10)), 5))
    for x, y, size, shade, shape in numbers:
        half = 1.5 + 2.5 * size
        box = (x * SIDE - half, y * SIDE - half, x * SIDE + half, y * SIDE + half)
        grey = int(60 + 140 * shade)
        if shape < 0.34:
            pen.ellipse(box, fill=(grey, grey, grey))
        elif shape < 0.67:
            pen.rectangle(box, fill=(grey, grey, grey))
        else:
            pen.line(box, fill=(grey, grey, grey), width=2)


def _in_style(canvas: Image.Image, style: str) -> Image.Image:
    if style == "normal":
        return canvas
    if style == "watercolor":
        washed = ImageOps.posterize(canvas.filter(ImageFilter.GaussianBlur(0.9)), 4)
        return Image.blend(washed, Image.new("RGB", washed.size, (255, 252, 245)), 0.35)
    if style == "sketch":
        grey = canvas.convert("L")
        dodge = ImageOps.invert(grey).filter(ImageFilter.GaussianBlur(2))
        lines = ImageChops.add(grey, dodge, scale=1.0, offset=-20)
        drawn = ImageOps.autocontrast(lines.point([min(255, round(v * v / 235)) for v in range(256)])).convert("RGB")
        return ImageChops.multiply(drawn, Image.blend(canvas, Image.new("RGB", canvas.size, "white"), 0.7))
    if style == "pixel":
        return canvas.resize((26, 26), Image.Resampling.BOX).resize((SIDE, SIDE), Image.Resampling.NEAREST)
    if style == "neon":
        inner = canvas.filter(ImageFilter.FIND_EDGES).crop(
            (1, 1, SIDE - 1, SIDE - 1)
        )  # the outermost rows are no edges
        edges = ImageOps.expand(inner, 1).filter(ImageFilter.GaussianBlur(0.6))
        glow = ImageEnhance.Brightness(edges).enhance(1.7)
        return ImageChops.add(ImageEnhance.Brightness(canvas).enhance(0.4), glow)
    if style == "vintage":
        sepia = canvas.convert("RGB", _SEPIA)
        return ImageChops.multiply(Image.blend(canvas, sepia, 0.75), _vignette())
    raise ValueError(f"unknown style {style!r}")


_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R 601-2, as Pillow's own
_SEPIA = tuple(float(v) for gain in (1.0, 0.86, 0.62) for v in (*gain * _LUMA, 0.0))


@cache
def _vignette() -> Image.Image:
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    distance = np.hypot(rows - 31.5, columns - 31.5) / 44.5
    shade = np.rint(255 * (1 - 0.45 * distance**2)).astype(np.uint8)
    return Image.fromarray(np.repeat(shade[:, :, None], 3, axis=2))
