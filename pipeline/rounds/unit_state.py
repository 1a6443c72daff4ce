"""What a unit carries from stage to stage."""

from dataclasses import dataclass, field

from schemas.manifest import StageCount
from schemas.quarantine import QuarantineRow
from schemas.sample import Sample


@dataclass(slots=True)
class UnitState:
    """A unit on its way: what it holds now and what happened so far. Pickled between workers, never stored."""

    unit: int
    samples: list[Sample]
    refused: list[Sample] = field(
        default_factory=list
    )  # by their generator, which is a result; no later stage sees them
    quarantine: list[QuarantineRow] = field(default_factory=list)
    counts: list[StageCount] = field(default_factory=list)
    level: str = "L1"
