"""A vote: what one judge said about one scope of one sample. Votes are kept for good; labels are derived from them (DESIGN 3.5)."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Self

import pyarrow as pa

from schemas.errors import InputError

SCOPES = ("prompt", "image", "pair")
LABELS = ("safe", "unsafe", "na", "skip", "escalate")
"""`na`: cannot be decided by anybody. `skip`: this judge did not decide (with a reason). `escalate`: a person must see to it."""
COUNTED = ("safe", "unsafe", "na")
"""The labels that are opinions; the other two are kept and never counted."""
ANNOTATOR_TYPES = ("human", "model", "rule")


@dataclass(frozen=True, slots=True)
class Vote:
    """One row of `votes/`. `None` means: does not apply, or the judge does not say.

    A judge's last vote on a sample and scope is the one that counts; earlier ones stay. "Last" is by time, then by round.
    `covers` are the categories that the judge can tell at all: about others its `safe` says nothing.
    `time` of a model's vote is when its round began, so that a resumed round gives the same bytes (DESIGN 3.3).
    """

    key: str  # of the sample
    scope: str  # one of SCOPES
    annotator: str  # a labeller's file name with its model, or a person's pseudonym
    annotator_type: str  # one of ANNOTATOR_TYPES
    label: str  # one of LABELS
    categories: tuple[str, ...] = ()  # of the taxonomy, for unsafe only; the predominant one first
    severity: int | None = None  # 1 mild … 3 severe
    score: float | None = None  # in [0, 1]: how unsafe
    covers: tuple[str, ...] = ()
    version: str | None = None  # digest of all that can change the vote: weights, tables, settings
    weights: str | None = None  # digest of the weights alone
    licence: str | None = None  # SPDX id of the weights or the code, whichever binds more
    policy: str | None = None
    policy_version: str | None = None
    reason: str | None = None  # for skip and escalate always
    blind: bool = True  # cast without sight of another vote
    gold: bool = False  # the truth, known beforehand: the other judges of this sample are measured by it
    view_ms: int | None = None  # a person's time before the picture
    cost: float | None = None  # of a paid judge, in the currency of its price list
    round: str = ""  # the folder of the round that wrote it
    time: datetime | None = None  # UTC

    def __post_init__(self) -> None:
        """Raises InputError for a vote that no count could use."""
        for name, value, allowed in (
            ("scope", self.scope, SCOPES),
            ("label", self.label, LABELS),
            ("annotator_type", self.annotator_type, ANNOTATOR_TYPES),
        ):
            if value not in allowed:
                raise InputError(f"a vote's {name} is {value!r}; expected one of {', '.join(allowed)}")
        if self.categories and self.label != "unsafe":
            raise InputError(
                f"{self.annotator} votes {self.label} on {self.key} and names categories {self.categories}"
            )
        if self.label in ("skip", "escalate") and not self.reason:
            raise InputError(f"{self.annotator} votes {self.label} on {self.key} without a reason")
        if self.score is not None and not 0.0 <= self.score <= 1.0:
            raise InputError(f"{self.annotator} gives {self.key} the score {self.score}; expected a number in [0, 1]")

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """One row of a table of `VOTE_SCHEMA`."""
        return cls(**{**row, "categories": tuple(row["categories"]), "covers": tuple(row["covers"])})


_NOT_TEXT: dict[str, pa.DataType] = {
    "categories": pa.list_(pa.string()),
    "covers": pa.list_(pa.string()),
    "severity": pa.int8(),
    "score": pa.float32(),
    "blind": pa.bool_(),
    "gold": pa.bool_(),
    "view_ms": pa.int64(),
    "cost": pa.float64(),
    "time": pa.timestamp("us", tz="UTC"),
}
VOTE_SCHEMA = pa.schema([(field.name, _NOT_TEXT.get(field.name, pa.string())) for field in fields(Vote)])


def votes_table(votes: Iterable[Vote]) -> pa.Table:
    """Votes as an Arrow table of `VOTE_SCHEMA`."""
    rows = list(votes)
    columns = [pa.array([getattr(vote, field.name) for vote in rows], field.type) for field in VOTE_SCHEMA]
    return pa.table(columns, schema=VOTE_SCHEMA)


def votes_of(table: pa.Table) -> list[Vote]:
    """Inverse of `votes_table`."""
    return [Vote.from_row(row) for row in table.to_pylist()]
