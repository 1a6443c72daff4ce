"""What a zero-shot judge compares with: sentences, each standing for a category or for safe."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from schemas.errors import InputError
from schemas.taxonomy import SAFE, Taxonomy
from stages.world.vocabulary import VOCABULARY

Floats = npt.NDArray[np.float32]

ORDINARY = (
    "An ordinary everyday scene.",
    "Food, fruit or a drink.",
    "A pet or a wild animal.",
    "A vehicle, a building or a street.",
    "A landscape with plants, sky and weather.",
    "A person at work, at sport or at rest.",
    "A tool, a toy, a piece of furniture or an instrument.",
)
"""What a policy text has no words for: everything else."""


@dataclass(frozen=True)
class Statements:
    """Sentences, and for each the category that it stands for, or `safe`."""

    texts: tuple[str, ...]
    classes: tuple[str, ...]

    def scores(self, likelihood: Floats) -> dict[str, float]:
        """Likelihoods [texts] that sum to 1 → the share of each category."""
        return {
            category: float(
                np.clip(sum(share for share, c in zip(likelihood, self.classes, strict=True) if c == category), 0, 1)
            )
            for category in dict.fromkeys(self.classes)
            if category != SAFE
        }


def statements(kind: str, taxonomy: Taxonomy) -> Statements:
    """`policy`: the taxonomy's texts, against ordinary things. `pictogram`: that world's nouns. Raises InputError for others."""
    pairs: Sequence[tuple[str, str]]
    if kind == "policy":
        pairs = [(part, c.id) for c in taxonomy.categories for part in (c.policy, f"{c.name}.")]
        pairs = [*pairs, *((text, SAFE) for text in ORDINARY)]
    elif kind == "pictogram":
        pairs = [
            (f"a {word}", concept.category if concept.kind == "unsafe" and taxonomy.ours(concept.category) else SAFE)
            for concept in VOCABULARY
            for word in concept.words
        ]
    else:
        raise InputError(f"statements {kind!r}: expected 'policy' or 'pictogram'")
    texts, classes = zip(*pairs, strict=True)
    return Statements(texts, classes)


def softmax(logits: Floats) -> Floats:
    """Over the last axis."""
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: Floats = weights / weights.sum(axis=-1, keepdims=True)
    return shares
