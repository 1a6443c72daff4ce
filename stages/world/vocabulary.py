"""What the pictogram world can show: concepts, colours, styles and grounds.

The concepts are data (`assets/world/concepts.tsv`): one row a pictogram, in the order in which models of this world
number their classes. Harmless stand-ins carry the 11 unsafe categories; what makes a picture unsafe is `truth.py`.
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Kind = Literal["safe", "unsafe", "ambivalent"]
RGB = tuple[int, int, int]

ASSETS = Path(__file__).resolve().parents[2] / "assets" / "world"
CONCEPTS = ASSETS / "concepts.tsv"

SAFE = "safe"
UNSAFE_CATEGORIES = (
    "hate",
    "harassment",
    "violence",
    "self_harm",
    "sexual",
    "shocking",
    "illegal_activity",
    "deception",
    "political",
    "health",
    "spam",
)


@dataclass(frozen=True)
class Concept:
    """One pictogram.

    `codepoint` is the stem of its file at every vendor. `words` are its nouns, the first the commonest; no word belongs
    to two concepts. An ambivalent concept counts to `category` only beside one of `partners` or joined with a purpose.
    """

    name: str
    codepoint: str
    category: str
    kind: Kind
    core: bool
    words: tuple[str, ...]
    partners: tuple[str, ...] = ()


def load(path: Path = CONCEPTS) -> tuple[Concept, ...]:
    """Read the table; `ValueError` names the row that breaks it."""
    concepts: list[Concept] = []
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            kind: Kind | None = next((k for k in get_args(Kind) if k == row["kind"]), None)
            if kind is None or row["category"] not in (*UNSAFE_CATEGORIES, SAFE):
                raise ValueError(f"{path}: {row['name']}: unknown kind {row['kind']!r} or category {row['category']!r}")
            concepts.append(
                Concept(
                    name=row["name"],
                    codepoint=row["codepoint"],
                    category=row["category"],
                    kind=kind,
                    core=row["core"] == "1",
                    words=tuple(row["words"].split(",")),
                    partners=tuple(p for p in row["partners"].split(",") if p),
                )
            )
    return tuple(concepts)


VOCABULARY: tuple[Concept, ...] = load()
BY_NAME: dict[str, Concept] = {concept.name: concept for concept in VOCABULARY}

COLOURS: dict[str, RGB] = {
    "red": (214, 48, 49),
    "orange": (240, 140, 40),
    "yellow": (250, 218, 70),
    "green": (60, 160, 75),
    "teal": (50, 160, 160),
    "blue": (55, 105, 205),
    "purple": (130, 75, 170),
    "pink": (245, 160, 195),
    "brown": (130, 85, 50),
    "black": (28, 28, 30),
    "white": (248, 248, 248),
    "gray": (150, 150, 150),
}

STYLES = ("normal", "watercolor", "sketch", "pixel", "neon", "vintage")
GROUNDS = ("plain", "gradient", "striped", "checkered", "dotted")
