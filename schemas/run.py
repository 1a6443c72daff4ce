"""What one run was asked to do: the handful of facts of the command line, written to run.json."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from types import UnionType
from typing import Any, Self, get_args, get_origin

from schemas.control_file import Kinds, check_fields, control_json, read_control
from schemas.distribution import Choice, Distribution, Uniform, read_distribution
from schemas.errors import InputError
from schemas.generation import READ, GenerationSettings
from schemas.taxonomy import UNSAFEBENCH, Taxonomy

VARIED = ("steps", "guidance_scale", "true_cfg_scale", "size", "scheduler")
"""Settings that may be drawn from a distribution."""
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
    steps: int | str | None = None  # these four are a value, `uniform(A, B)` or `A,B:2`
    guidance_scale: int | float | str | None = None
    true_cfg_scale: int | float | str | None = None
    size: str | None = None  # WIDTHxHEIGHT in pixels
    scheduler: str | None = None  # a name, or several
    negative_prompt: str | None = None
    lora: list[str] | None = None  # FILE[:WEIGHT]
    dtype: str | None = None
    compile: bool = False  # blocks of the denoiser and the decoder; other bytes
    fp8: bool = False  # the denoiser's linear layers; other bytes
    guard: str | None = None  # folders of classifiers that refuse what they flag, with commas between
    models: list[str] | None = None  # several, in place of `model`
    model_weights: list[float] | None = None
    held_out_model: str | None = None  # one of them, whose pictures are never trained on
    long_prompts: str = "truncate"  # beyond what text encoders read: truncate, chunks or refuse
    image_price: float | int | None = (
        None  # of a picture that is drawn behind an address, in the currency of its price list
    )
    model_config: str | None = None  # directory with the configs of a checkpoint in one file
    denoiser: str | None = None  # file of a U-Net or transformer, .gguf or .safetensors
    quantise: str | None = None  # precision of the denoiser
    textual_inversion: list[str] | None = None  # files
    offload: str = "auto"
    writer: str | None = None  # chat:URL#NAME, which writes the prompts of the recipe rewrite
    seed_column: str | None = None  # of the prompt file: seeds of the pictures
    taxonomy: dict[str, Any] | None = None  # what is judged by, as `Taxonomy.to_json` has it; None: UnsafeBench's

    @property
    def policy(self) -> Taxonomy:
        """What is judged by. Raises InputError for a `taxonomy` that is none."""
        return UNSAFEBENCH if self.taxonomy is None else Taxonomy.from_json(self.taxonomy, "run.json")

    @property
    def generation(self) -> GenerationSettings:
        """The settings of generation that were fixed. Raises InputError for values out of range."""
        drawn = self._drawn()
        fixed = {name: value for name, value in drawn.items() if not isinstance(value, Uniform | Choice)}
        return _of_flags(**fixed, negative_prompt=self.negative_prompt, loras=tuple(self.lora or ()), dtype=self.dtype)

    @property
    def varied(self) -> dict[str, Distribution]:
        """What further settings are drawn from, picture by picture. Raises InputError."""
        varied = {name: value for name, value in self._drawn().items() if isinstance(value, Uniform | Choice)}
        for name, distribution in varied.items():
            for end in distribution.ends():
                _of_flags(**{name: end})
        return varied

    def _drawn(self) -> dict[str, Any]:
        varied = {name: getattr(self, name) for name in VARIED if getattr(self, name) is not None}
        try:
            return {name: read_distribution(name, str(text), READ[name]) for name, text in varied.items()}
        except InputError as error:
            raise _as_flag(error) from error

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


def _of_flags(**flags: Any) -> GenerationSettings:
    try:
        return GenerationSettings(**flags)
    except InputError as error:
        raise _as_flag(error) from error


def _as_flag(error: InputError) -> InputError:
    """An error that begins with a setting's name, as its flag is written."""
    name, _, rest = str(error).partition(" ")
    return InputError(f"--{name.replace('_', '-')} {rest}")


def _plain(annotation: Any) -> tuple[type, ...]:
    """A field's annotation as `isinstance` takes it."""
    each = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
    return tuple(get_origin(one) or one for one in each)
