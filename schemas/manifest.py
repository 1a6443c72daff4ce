"""The receipt: the small JSON written last for a unit. A unit is done when its receipt is there, and only then."""

import json
from dataclasses import asdict, dataclass, field
from typing import Self


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a unit: its name within the round, size in bytes, sha256 of the plaintext."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class StageCount:
    """What one stage did to one unit; `seconds` is wall time inside the step."""

    stage: str
    taken: int
    given: int
    dropped: int
    quarantined: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a committed unit holds and what it cost."""

    unit: int
    fingerprint: str  # of the plan
    files: tuple[FileEntry, ...]
    stages: tuple[StageCount, ...]
    samples: int
    dropped: int
    quarantined: int
    environment: dict[str, str] = field(default_factory=dict)
    level: str = "L1"  # L2: a batch was halved for memory, so bytes may differ from another run's

    def to_json(self) -> bytes:
        """Canonical JSON."""
        return json.dumps(asdict(self), sort_keys=True, indent=1).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Inverse of `to_json`. Raises ValueError or KeyError on anything else."""
        raw = json.loads(data)
        raw["files"] = tuple(FileEntry(**entry) for entry in raw["files"])
        raw["stages"] = tuple(StageCount(**count) for count in raw["stages"])
        return cls(**raw)
