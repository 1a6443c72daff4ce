"""What one run was asked to do: the handful of facts of the command line, written to run.json."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Self


@dataclass(frozen=True, slots=True)
class RunConfig:
    """Run facts (DESIGN 3.12). Everything else is in the recipe."""

    out: str
    recipe: str = "pictogram"
    prompts: str | None = None
    column: str | None = None
    count: int | None = None
    images_per_prompt: int = 1
    engine: str = "ray"
    workers: int | None = None
    seed: int = 0
    model: str | None = None
    restricted: bool = False
    picture_check: str | None = None  # MODULE:FUNCTION, the operator's check of finished pictures
    skip_bad_rows: bool = False  # whether broken rows of a prompt file are left out and counted, or refused
    hash_list: str | None = None  # file of perceptual hashes of pictures that may not be kept

    def to_json(self, environment: Mapping[str, str]) -> bytes:
        """What run.json holds: these facts, and the `environment` (versions, hardware) of the machine that last drove the run."""
        return json.dumps({**asdict(self), "environment": dict(environment)}, indent=1, sort_keys=True).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """The facts of a run.json; what an older one does not say is as it was then."""
        raw = json.loads(data)
        return cls(**{field.name: raw[field.name] for field in fields(cls) if field.name in raw})
