"""What an attack was: the threat model that rides on every variant and every attack run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import pyarrow as pa

FAMILIES = ("text", "image", "joint")
GOALS = ("evade_text", "evade_image", "evade_joint", "false_flag")
KNOWLEDGE = ("non_adaptive", "transfer", "grey_box", "white_box")
"""`non_adaptive`: never asks a classifier. `transfer`: made against another classifier. `grey_box`: asks the target for scores.
`white_box`: has its gradients."""
OLD_KNOWLEDGE = {"black_box": "non_adaptive"}  # as rows written before 28 November 2026 say it


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackRecord:
    """One attack as carried out on one sample. `None` means: does not apply to this attack.

    Pixels: `epsilon` (the budget) and `distance` (what was used, after 8-bit encoding) are L∞ in [0, 1] at the source image,
    unless `norm` says otherwise. Words: `edit_budget` and `edits` count characters or tokens changed in the prompt.
    """

    name: str  # the file in stages/attack
    family: str  # of FAMILIES: what held-out families are cut by
    goal: str  # of GOALS
    knowledge: str  # of KNOWLEDGE
    controls: str  # who controls what: the attacker writes the prompt | image | both
    preserves: bool  # True: the parent's truth holds; False: it must be read anew (DESIGN 3.10)
    adaptive: bool = False  # True: run against the very classifier that is judged
    target: str | None = None  # digest of the classifier that the attack was run against
    norm: str | None = None
    epsilon: float | None = None
    distance: float | None = None
    edit_budget: int | None = None
    edits: int | None = None
    queries: int | None = None  # rows that the target judged for this sample, gradients included
    success: str | None = None  # the definition, in words a query can group by
    achieved: bool | None = (
        None  # whether the target decides otherwise than for the parent, on the picture and words as stored
    )
    truncated: bool | None = None  # the prompt overran the text encoder
    seed: int | None = None
    parameters: str = "{}"  # canonical JSON of what is particular to this attack

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Of a stored row; old names of `knowledge` are read as the present ones."""
        return cls(**{**row, "knowledge": OLD_KNOWLEDGE.get(row["knowledge"], row["knowledge"])})


ATTACK_TYPE = pa.struct(
    [
        ("name", pa.string()),
        ("family", pa.string()),
        ("goal", pa.string()),
        ("knowledge", pa.string()),
        ("controls", pa.string()),
        ("preserves", pa.bool_()),
        ("adaptive", pa.bool_()),
        ("target", pa.string()),
        ("norm", pa.string()),
        ("epsilon", pa.float64()),
        ("distance", pa.float64()),
        ("edit_budget", pa.int64()),
        ("edits", pa.int64()),
        ("queries", pa.int64()),
        ("success", pa.string()),
        ("achieved", pa.bool_()),
        ("truncated", pa.bool_()),
        ("seed", pa.int64()),
        ("parameters", pa.string()),
    ]
)
