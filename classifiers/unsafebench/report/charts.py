"""The few kinds of chart that the paper's figures are, as PNG by Pillow: no plotting library is among the pinned packages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from pipeline.storage.image_codec import blurred
from schemas.sample import Pixels

Floats = npt.NDArray[np.float64]
WIDTH, HEIGHT = 1100, 520
LEFT, RIGHT, TOP, BOTTOM = 130, 20, 50, 175
INK, RULE = (30, 30, 30), (215, 215, 215)
COLOURS = (
    (31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189), (140, 86, 75), (227, 119, 194), (90, 90, 90),
)  # fmt: skip
TICKS = 5
FLAT = 6  # pixels: on a lower box a white median would hide the box
CELL = 96  # side of a picture on a sheet


@dataclass(frozen=True)
class Frame:
    """Axes on a white picture; `low` and `high` are the ends of the vertical axis."""

    image: Image.Image
    low: float
    high: float

    @classmethod
    def drawn(cls, title: str, low: float, high: float) -> "Frame":
        """With ticks and rules."""
        image = Image.new("RGB", (WIDTH, HEIGHT), "white")
        frame, pen = cls(image, low, high), ImageDraw.Draw(image)
        pen.text((LEFT, 8), title, fill=INK, font=_font(17))
        for tick in np.linspace(low, high, TICKS + 1):
            y = frame.y(float(tick))
            pen.line((LEFT, y, WIDTH - RIGHT, y), fill=RULE)
            pen.text((LEFT - 6, y), f"{tick:.3g}", fill=INK, font=_font(12), anchor="rm")
        return frame

    def y(self, value: float) -> float:
        """The height of a value in pixels from the top, kept on the paper."""
        share = (min(max(value, self.low), self.high) - self.low) / ((self.high - self.low) or 1)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    def x(self, share: float) -> float:
        """A place along the horizontal axis, `share` in [0, 1]."""
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def label(self, share: float, text: str) -> None:
        """Below the axis, turned where it is long."""
        font = _font(12)
        width = int(font.getlength(text)) + 4
        strip = Image.new("L", (width, 16))
        ImageDraw.Draw(strip).text((1, 0), text, fill=255, font=font)
        turned = strip.rotate(40, expand=True)
        self.image.paste(INK, (int(self.x(share)) - turned.width + 8, HEIGHT - BOTTOM + 6), turned)

    def legend(self, names: Sequence[str]) -> None:
        """At the bottom, a colour a name."""
        pen, x = ImageDraw.Draw(self.image), float(LEFT)
        for number, name in enumerate(names):
            pen.rectangle((x, HEIGHT - 20, x + 12, HEIGHT - 8), fill=colour(number))
            pen.text((x + 16, HEIGHT - 21), name, fill=INK, font=_font(12))
            x += 34 + _font(12).getlength(name)


def colour(number: int) -> tuple[int, int, int]:
    """Of a series."""
    return COLOURS[number % len(COLOURS)]


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def bars(
    path: Path, title: str, groups: Sequence[str], series: Mapping[str, Sequence[float | None]], high: float = 1.0
) -> None:
    """A cluster a group, a bar a series; a value that is not there has no bar."""
    frame = Frame.drawn(title, 0.0, high)
    pen, width = ImageDraw.Draw(frame.image), 0.8 / len(groups) / max(len(series), 1)
    for place, group in enumerate(groups):
        start = (place + 0.1) / len(groups)
        frame.label((place + 0.5) / len(groups), group)
        for number, values in enumerate(series.values()):
            value = values[place]
            if value is not None:
                left = frame.x(start + number * width)
                pen.rectangle((left, frame.y(value), left + frame.x(width) - LEFT - 1, frame.y(0)), fill=colour(number))
                pen.text((left, frame.y(value) - 12), f"{value:.2f}".lstrip("0"), fill=INK, font=_font(10))
    frame.legend(list(series))
    _saved(frame.image, path)


def lines(
    path: Path, title: str, ticks: Sequence[str], series: Mapping[str, Sequence[float | None]], high: float = 1.0
) -> None:
    """A line a series over shared ticks."""
    frame = Frame.drawn(title, 0.0, high)
    pen = ImageDraw.Draw(frame.image)
    places = [(place + 0.5) / len(ticks) for place in range(len(ticks))]
    for share, tick in zip(places, ticks, strict=True):
        frame.label(share, tick)
    for number, values in enumerate(series.values()):
        points = [(frame.x(s), frame.y(v)) for s, v in zip(places, values, strict=True) if v is not None]
        if len(points) > 1:
            pen.line(points, fill=colour(number), width=3)
        for x, y in points:
            pen.ellipse((x - 4, y - 4, x + 4, y + 4), fill=colour(number))
    frame.legend(list(series))
    _saved(frame.image, path)


def boxes(path: Path, title: str, groups: Mapping[str, Floats], ends: tuple[float, float]) -> None:
    """Quartiles, the median as a number, and whiskers at 5 and 95 %. A group without values is left empty."""
    frame = Frame.drawn(title, *ends)
    pen = ImageDraw.Draw(frame.image)
    for place, (name, values) in enumerate(groups.items()):
        middle, half = (place + 0.5) / len(groups), 0.3 / len(groups)
        frame.label(middle, f"{name} ({len(values)})")
        if not len(values):
            continue
        low, first, median, third, high = (
            frame.y(float(v)) for v in np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95])
        )
        x, left, right = frame.x(middle), frame.x(middle - half), frame.x(middle + half)
        pen.line((x, low, x, high), fill=INK)
        pen.rectangle((left, third, right, first), fill=colour(place), outline=INK)
        pen.line((left, median, right, median), fill="white" if first - third > FLAT else colour(place), width=3)
        pen.text((x + 5, third - 8), f"{np.median(values):.3g}", fill=INK, font=_font(11), anchor="lm")
    _saved(frame.image, path)


def scatter(path: Path, title: str, points: Mapping[str, Floats]) -> None:
    """A dot a row [n, 2], a colour a series; both axes are without units."""
    image = Image.new("RGB", (WIDTH, HEIGHT + 240), "white")
    pen = ImageDraw.Draw(image)
    pen.text((LEFT, 8), title, fill=INK, font=_font(17))
    every = np.concatenate(list(points.values()))
    low, span = every.min(axis=0), np.ptp(every, axis=0) + 1e-9
    x = float(LEFT)
    for number, (name, rows) in enumerate(points.items()):
        for across, up in (rows - low) / span:
            left, top = 20 + across * (WIDTH - 40), 40 + (1 - up) * (HEIGHT + 150)
            pen.ellipse((left - 2, top - 2, left + 2, top + 2), fill=colour(number))
        pen.rectangle((x, HEIGHT + 212, x + 12, HEIGHT + 224), fill=colour(number))
        pen.text((x + 16, HEIGHT + 210), name, fill=INK, font=_font(12))
        x += 40 + _font(12).getlength(name)
    _saved(image, path)


def sheet(path: Path, title: str, rows: Sequence[tuple[str, Sequence[tuple[str, Pixels]]]], *, blur: bool) -> None:
    """Rows of pictures, each with a few words below; a name before each row. `blur`: nothing can be made out."""
    longest = max((len(pictures) for _, pictures in rows), default=1)
    step = CELL + 34
    image = Image.new("RGB", (max(WIDTH, 230 + longest * (CELL + 10)), 40 + max(len(rows), 1) * step), "white")
    pen = ImageDraw.Draw(image)
    pen.text((10, 8), title, fill=INK, font=_font(17))
    for number, (name, pictures) in enumerate(rows):
        top = 40 + number * step
        pen.text((10, top + CELL // 2), name, fill=INK, font=_font(12))
        for place, (words, pixels) in enumerate(pictures):
            left = 220 + place * (CELL + 10)
            cell = Image.fromarray(pixels).resize((CELL, CELL), Image.Resampling.NEAREST)
            image.paste(Image.fromarray(blurred(np.asarray(cell))) if blur else cell, (left, top))
            pen.text((left, top + CELL + 2), words, fill=INK, font=_font(11))
    _saved(image, path)


def _saved(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
