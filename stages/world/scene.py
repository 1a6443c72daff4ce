"""A scene: which pictograms stand where, on what ground, in which style. It is also the ground truth of its picture."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from stages.world.vocabulary import BY_NAME, COLOURS, GROUNDS, STYLES

MAX_ANGLE = 15.0  # degrees; more makes bats of balls, and no emoji is ever seen so
MAX_PICTOGRAMS = 3

# (x, y) of the centres; the first concept is always left of the second, or above it, so that word order can be learned.
_BESIDE = {1: ((0.5, 0.5),), 2: ((0.27, 0.5), (0.73, 0.5)), 3: ((0.19, 0.5), (0.5, 0.5), (0.81, 0.5))}
_STACKED = ((0.5, 0.27), (0.5, 0.73))
_SIZE = {
    1: (0.5, 0.86),
    2: (0.38, 0.5),
    3: (0.28, 0.35),
}  # of the picture's side: smaller ones lose their look at 64 px
_JITTER = {1: (0.25, 0.25), 2: (0.04, 0.22), 3: (0.02, 0.3)}  # along the row, across it; then moved into the picture


@dataclass(frozen=True)
class Pictogram:
    """A pictogram; `x`, `y` (centre) and `size` (side) are in [0, 1] of the picture's side, `angle` in degrees."""

    concept: str
    x: float
    y: float
    size: float
    angle: float = 0.0

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom in [0, 1], before turning."""
        half = self.size / 2
        return (
            max(0.0, self.x - half),
            max(0.0, self.y - half),
            min(1.0, self.x + half),
            min(1.0, self.y + half),
        )


@dataclass(frozen=True)
class Scene:
    """What a picture shows. `clutter` is 0 for none, else the seed of the small neutral shapes behind the pictograms."""

    pictograms: tuple[Pictogram, ...]
    colour: str
    second_colour: str
    ground: str = "plain"
    style: str = "normal"
    clutter: int = 0

    @property
    def concepts(self) -> tuple[str, ...]:
        """Names in reading order (left to right, or top to bottom)."""
        return tuple(p.concept for p in self.pictograms)

    @property
    def boxes(self) -> tuple[tuple[float, float, float, float], ...]:
        return tuple(p.box for p in self.pictograms)

    @property
    def categories(self) -> tuple[str, ...]:
        """Category of each pictogram by itself; whether the picture is unsafe is `truth.of_picture`."""
        return tuple(BY_NAME[p.concept].category for p in self.pictograms)

    @property
    def stacked(self) -> bool:
        """The first of two stands above the second."""
        if len(self.pictograms) != 2:
            return False
        first, second = self.pictograms
        return abs(second.y - first.y) > abs(second.x - first.x)

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Scene":
        fields: dict[str, Any] = json.loads(text)
        fields["pictograms"] = tuple(Pictogram(**p) for p in fields["pictograms"])
        return cls(**fields)


def compose(
    rng: np.random.Generator,
    concepts: Sequence[str],
    *,
    colour: str | None = None,
    second_colour: str | None = None,
    ground: str | None = None,
    style: str | None = None,
    stacked: bool = False,
    clutter: bool = False,
) -> Scene:
    """Place up to three concepts; what is not asked for is drawn from `rng` (style: normal)."""
    unknown = [c for c in concepts if c not in BY_NAME]
    if unknown or len(concepts) > MAX_PICTOGRAMS:
        raise ValueError(
            f"compose takes up to {MAX_PICTOGRAMS} known concepts, got {list(concepts)}, unknown {unknown}"
        )
    names = list(COLOURS)
    colour = colour or names[int(rng.integers(len(names)))]
    if second_colour is None:
        others = [n for n in names if n != colour]
        second_colour = others[int(rng.integers(len(others)))]
    return Scene(
        pictograms=_place(rng, concepts, stacked),
        colour=colour,
        second_colour=second_colour,
        ground=ground or GROUNDS[int(rng.integers(len(GROUNDS)))],
        style=style or STYLES[0],
        clutter=int(rng.integers(1, 2**31)) if clutter else 0,
    )


def _place(rng: np.random.Generator, concepts: Sequence[str], stacked: bool) -> tuple[Pictogram, ...]:
    count = len(concepts)
    if count == 0:
        return ()
    upright = stacked and count == 2
    centres = _STACKED if upright else _BESIDE[count]
    along, across = _JITTER[count]
    spread = np.array([across, along] if upright else [along, across])
    low, high = _SIZE[count]
    placed = []
    for name, centre in zip(concepts, centres, strict=True):
        size = float(rng.uniform(low, high))
        shift = rng.uniform(-1.0, 1.0, 2) * spread
        angle = float(rng.uniform(-MAX_ANGLE, MAX_ANGLE))
        x, y = (round(min(max(float(c + s), size / 2), 1 - size / 2), 4) for c, s in zip(centre, shift, strict=True))
        placed.append(Pictogram(name, x, y, round(size, 4), round(angle, 2)))
    return tuple(placed)
