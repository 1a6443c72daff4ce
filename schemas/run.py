"""What one run was asked to do: the handful of facts of the command line, written to run.json."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from types import UnionType
from typing import Any, Self, get_args, get_origin

from schemas.control_file import Kinds, check_fields, control_json, read_control
from schemas.generation import GenerationSettings, size_of

MEND = "the command that made the run, given again, writes it anew"


@dataclass(frozen=True, slots=True)
class RunConfig:
    """Run facts (DESIGN 3.12). Everything else is in the recipe."""

    out: str
    recipe: str = "pictogram"  # a name, or FILE.py:FUNCTION
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
    recipe_sha256: str | None = None  # of the file, where the recipe is the user's own
    steps: int | None = None
    guidance_scale: float | None = None
    true_cfg_scale: float | None = None
    size: str | None = None  # WIDTHxHEIGHT in pixels
    scheduler: str | None = None
    negative_prompt: str | None = None
    lora: list[str] | None = None  # FILE[:WEIGHT]
    dtype: str | None = None
    guard: str | None = None  # folders of classifiers that refuse what they flag, with commas between

    @property
    def generation(self) -> GenerationSettings:
        """The settings of generation that were given. Raises InputError for values out of range."""
        return GenerationSettings(
            steps=self.steps,
            guidance_scale=self.guidance_scale,
            true_cfg_scale=self.true_cfg_scale,
            size=None if self.size is None else size_of(self.size),
            scheduler=self.scheduler,
            negative_prompt=self.negative_prompt,
            loras=tuple(self.lora or ()),
            dtype=self.dtype,
        )

    def to_json(self, environment: Mapping[str, str]) -> bytes:
        """What run.json holds: these facts, and the `environment` (versions, hardware) of the machine that last drove the run."""
        return control_json({**asdict(self), "environment": dict(environment)})

    @classmethod
    def from_json(cls, data: bytes | None, name: str = "run.json") -> Self:
        """The facts of a run.json; `name` is said in the error. Raises ControlFileError for anything else."""
        raw = read_control(data, name, MEND, {"out": str, "recipe": str})
        known: dict[str, Any] = {field.name: raw[field.name] for field in fields(cls) if field.name in raw}
        kinds: Kinds = {field.name: _plain(field.type) for field in fields(cls) if field.name in known}
        check_fields(known, kinds, name, MEND)
        return cls(**known)


def _plain(annotation: Any) -> tuple[type, ...]:
    """A field's annotation as `isinstance` takes it."""
    each = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
    return tuple(get_origin(one) or one for one in each)
