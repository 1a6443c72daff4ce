"""The training set of PerspectiveVision: which taxonomy a picture is asked about, and what is then right to say.

UnsafeBench, section 5.2 and appendix A.5: a part of the taxonomy, shuffled; each unsafe picture once with its category
among K others (unsafe), once with K categories that it does not touch (the label flips to safe); classes balanced.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from classifiers.data.labelled_sample import LabelledSample


@dataclass(frozen=True, slots=True)
class Instruction:
    """Picture `row` is asked about the categories `asked`, in this order; `category` is the one to name, None for safe."""

    row: int
    asked: tuple[str, ...]
    category: str | None


def instructions(
    rows: Sequence[LabelledSample], categories: Sequence[str], rng: np.random.Generator, *, balance: bool = True
) -> list[Instruction]:
    """One for each safe picture, two for each unsafe one, then the smaller class again (with replacement) until both are even.

    Of several categories that a picture touches one is asked about, so that there is one right answer.
    """
    built = []
    for row, labelled in enumerate(rows):
        others = [name for name in categories if name not in labelled.categories]
        if not labelled.unsafe:
            built.append(Instruction(row, _some(others, rng, least=1), None))
            continue
        known = [name for name in labelled.categories if name in categories]
        if known:
            meant = known[int(rng.integers(len(known)))]
            built.append(Instruction(row, _shuffled([meant, *_some(others, rng, least=0)], rng), meant))
        if others and known:
            built.append(Instruction(row, _some(others, rng, least=1), None))
    return [*built, *_more_of_the_smaller(built, rng)] if balance else built


def _some(names: Sequence[str], rng: np.random.Generator, *, least: int) -> tuple[str, ...]:
    """K of the names, any order; K is any number from `least` to all, each as likely."""
    count = int(rng.integers(min(least, len(names)), len(names) + 1))
    return tuple(names[int(place)] for place in rng.permutation(len(names))[:count])


def _shuffled(names: Sequence[str], rng: np.random.Generator) -> tuple[str, ...]:
    return tuple(names[int(place)] for place in rng.permutation(len(names)))


def _more_of_the_smaller(rows: Sequence[Instruction], rng: np.random.Generator) -> list[Instruction]:
    unsafe = [each for each in rows if each.category is not None]
    safe = [each for each in rows if each.category is None]
    smaller, missing = (unsafe, len(safe) - len(unsafe)) if len(unsafe) < len(safe) else (safe, len(unsafe) - len(safe))
    return [smaller[int(place)] for place in rng.integers(len(smaller), size=missing)] if smaller else []
