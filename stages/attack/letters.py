"""Text as a reader sees it: letters with the marks that belong to them, so that no attack tears one apart by accident."""

import re
import unicodedata
from collections.abc import Callable

import numpy as np

Draw = np.random.Generator
JOINERS = ("\u200d", "\ufe0e", "\ufe0f")
WORD = re.compile(r"[^\W\d_]{4,}")  # words worth changing: articles and prepositions carry nothing


def letters(text: str) -> list[str]:
    """The text cut into base characters with their combining marks, joined emoji whole; joined again it is the text."""
    characters: list[str] = []
    for char in text:
        belongs = unicodedata.combining(char) or char in JOINERS or (characters and characters[-1].endswith(JOINERS[0]))
        if characters and belongs:
            characters[-1] += char
        else:
            characters.append(char)
    return characters


def substitute(text: str, budget: int, draw: Draw, change: Callable[[str], list[str]]) -> tuple[str, int]:
    """Replace up to `budget` letters, at places drawn, by one of what `change` offers for each. Returns text and edits."""
    cut = letters(text)
    offers = {place: offered for place, letter in enumerate(cut) if (offered := change(letter))}
    places = chosen(sorted(offers), budget, draw)
    for place in places:
        cut[place] = offers[place][int(draw.integers(len(offers[place])))]
    return "".join(cut), len(places)


def chosen(places: list[int], budget: int, draw: Draw) -> list[int]:
    """Up to `budget` of the places, in order."""
    picked = draw.permutation(len(places))[:budget]
    return sorted(places[int(index)] for index in picked)


def inner_gaps(text: str) -> list[int]:
    """Places between two letters of one word, as indices into `letters(text)`."""
    cut = letters(text)
    return [place for place in range(1, len(cut)) if cut[place - 1][0].isalpha() and cut[place][0].isalpha()]


def kept_case(new: str, old: str) -> str:
    """`new` in the case of `old`."""
    return new.upper() if old.isupper() else new
