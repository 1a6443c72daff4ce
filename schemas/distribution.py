"""What a setting is drawn from where a run does not fix it: a range, or some values with weights."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from schemas.errors import InputError

_UNIFORM = re.compile(r"uniform\(\s*([^,()]+?)\s*,\s*([^,()]+?)\s*\)")
_WEIGHTED = re.compile(r"(.+):(\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Uniform:
    """Every number from `low` to `high` alike: whole ones where both are, else hundredths, so that a row reads well."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise InputError(f"uniform({self.low}, {self.high}): the first must be below the second")

    def at(self, point: float) -> float:
        """What the point, in [0, 1), falls to."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            return self.low + int(point * (self.high - self.low + 1))
        return round(self.low + point * (self.high - self.low), 2)

    def ends(self) -> tuple[Any, ...]:
        """Values that stand for all: where these can be drawn with, all can."""
        return self.low, self.high


@dataclass(frozen=True)
class Choice:
    """One of `values`, each with its weight: `Choice(((1024, 768), 1), ((768, 1024), 2))` holds twice as many of the second."""

    values: tuple[tuple[Any, float], ...]

    def __post_init__(self) -> None:
        if not self.values or any(not weight > 0 for _, weight in self.values):
            raise InputError(f"{self}: expected values with weights above 0")

    def at(self, point: float) -> Any:
        """What the point, in [0, 1), falls to."""
        left = point * sum(weight for _, weight in self.values)
        for value, weight in self.values:
            left -= weight
            if left < 0:
                return value
        return self.values[-1][0]

    def ends(self) -> tuple[Any, ...]:
        """All values."""
        return tuple(value for value, _ in self.values)


Distribution = Uniform | Choice


def read_distribution(name: str, text: str, read: Callable[[str], Any]) -> Any:
    """One value, or a `Distribution` of `uniform(3, 9)` or `A,B:2`, a weight behind the colon.

    Raises InputError that begins with `name`.
    """
    match = _UNIFORM.fullmatch(text.strip())
    if match is not None:
        low, high = read(match[1]), read(match[2])
        if not isinstance(low, int | float):
            raise InputError(f"{name} {text}: a range is of numbers; give values with commas between")
        return Uniform(low, high)
    if "," not in text and not (name == "size" and ":" in text):
        return read(text)
    parts = [_WEIGHTED.fullmatch(part.strip()) or part.strip() for part in text.split(",")]
    if "" in parts:
        raise InputError(f"{name} {text}: expected A,B or A,B:2 with nothing left out")
    values = tuple((read(part), 1.0) if isinstance(part, str) else (read(part[1]), float(part[2])) for part in parts)
    if any(one[0] == other[0] for one, other in pairwise(sorted(values, key=str))):
        raise InputError(f"{name} {text}: a value is there twice; give it a weight, A:2")
    return Choice(values)
