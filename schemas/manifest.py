"""The receipt: the small JSON written last for a unit. A unit is done when its receipt is there, and only then."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from schemas.control_file import Kinds, check_fields, control_json, damaged, inside, read_control

MEND = "the command that made it commits the unit again"
_NEEDS: Kinds = {
    "unit": int,
    "fingerprint": str,
    "files": list,
    "stages": list,
    "samples": int,
    "dropped": int,
    "quarantined": int,
}
_FILE: Kinds = {"name": str, "size": int, "sha256": str}
_STAGE: Kinds = {
    "stage": str,
    "taken": int,
    "given": int,
    "dropped": int,
    "quarantined": int,
    "seconds": (int, float),
}


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a unit: its name within the round, size in bytes, sha256 of the plaintext."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class StageCount:
    """What one stage did to one unit; `seconds` is wall time inside the step, `opening` what loading it took before."""

    stage: str
    taken: int
    given: int
    dropped: int
    quarantined: int
    seconds: float
    refused: int = 0
    opening: float = 0.0


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
    refused: int = 0  # by a generator: a result, in the table `refused/`
    environment: dict[str, str] = field(default_factory=dict)
    level: str = (
        "L1"  # L2: a batch was halved for memory, so bytes may differ; L0: drawn behind an address, never made again
    )

    def to_json(self) -> bytes:
        """A control file."""
        return control_json(asdict(self))

    @classmethod
    def from_json(cls, data: bytes | None, name: str = "the receipt") -> Self:
        """Inverse of `to_json`; `name` is said in the error. Raises ControlFileError for anything else."""
        raw = read_control(data, name, MEND, _NEEDS)
        files, stages = _parts(raw, "files", _FILE, name), _parts(raw, "stages", _STAGE, name)
        for entry in files:
            if not inside(entry["name"]):
                raise damaged(name, f"names a file outside of its round, {entry['name'][:80]!r}", MEND)
        later = {
            "environment": raw.get("environment", {}),
            "level": raw.get("level", "L1"),
            "refused": raw.get("refused", 0),
        }
        check_fields(later, {"environment": dict, "level": str, "refused": int}, name, MEND)
        return cls(
            **{key: raw[key] for key in _NEEDS if key not in ("files", "stages")},
            files=tuple(FileEntry(**{key: entry[key] for key in _FILE}) for entry in files),
            stages=tuple(
                StageCount(**{key: count[key] for key in (*_STAGE, "refused", "opening") if key in count})
                for count in stages
            ),
            **later,
        )


def _parts(raw: Mapping[str, Any], what: str, needs: Kinds, name: str) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = raw[what]
    for part in parts:
        check_fields(part, needs, name, MEND)
    return parts
