"""What one run was asked to do: the handful of facts of the command line, written to run.json."""

import json
from dataclasses import asdict, dataclass


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

    def to_json(self) -> bytes:
        """Canonical JSON."""
        return json.dumps(asdict(self), indent=1, sort_keys=True).encode()
