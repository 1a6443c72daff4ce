"""Checkpoints in one file, as communities publish them: which parts they hold, where their configs lie, and how they are loaded."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.storage.weights import PICKLED, REPOSITORY
from schemas.errors import InputError
from stages.generate.pipeline_class import PipelineClass
from stages.generate.pipeline_directory import TRAINED, PipelineDirectory, read_json, tensor_shapes

SUFFIX = ".safetensors"
DENOISER = ("model.diffusion_model.", "double_blocks.", "joint_blocks.")
T5 = ("text_encoders.t5xxl.",)
HELD = {
    "unet": DENOISER,
    "transformer": DENOISER,
    "vae": ("first_stage_model.", "vae."),
    "text_encoder": ("cond_stage_model.", "conditioner.embedders.0.", "text_encoders.clip_l."),
    "text_encoder_2": ("conditioner.embedders.1.", "text_encoders.clip_g."),
}
"""How the names of a part's tensors begin, in the layouts of Stable Diffusion 1, 2, XL and 3 and of FLUX."""


def checkpoint(model: str) -> Path | None:
    """The file that `model` names (also relative to the repository), None where it names none. Raises InputError for a pickle."""
    for path in (Path(model), REPOSITORY / model):
        if path.is_file():
            if path.suffix in PICKLED:
                raise InputError(f"--model {model}: pickled weights are never loaded; give *{SUFFIX}")
            if path.suffix != SUFFIX:
                raise InputError(f"--model {model}: expected a directory of diffusers or one *{SUFFIX} file")
            return path.resolve()
    return None


def configs_of(file: Path, config: str | None) -> Path:
    """The directory with model_index.json and the parts' configs: as told, else FILE's own name, else the folder that it lies in.

    Raises InputError where there is none: nothing is fetched.
    """
    places = [Path(config)] if config else [file.with_suffix(""), file.parent]
    for place in places:
        if (place / "model_index.json").is_file():
            return place.resolve()
    raise InputError(
        f"--model {file}: no model_index.json in {' or '.join(map(str, places))}. A single file has no configs: give the directory "
        "of the model that it was trained from (its *.json and tokenizers are enough) with --model-config DIR"
    )


def directory_of(file: Path, config: str | None) -> PipelineDirectory:
    """The checked directory of a file's configs, whose parts are whole here or in the file. Raises InputError."""
    place = configs_of(file, config)
    index = read_json(place / "model_index.json")
    held = held_parts(file, index)
    if not held:
        raise InputError(
            f"--model {file}: no part of a Stable Diffusion or FLUX checkpoint is in it; a LoRA is given with --lora"
        )
    found = PipelineDirectory.checked(place, held)
    if not hasattr(found.kind.found, "from_single_file"):
        raise InputError(f"--model {file}: a {found.kind.name} is not loaded from one file; give its directory")
    return found


def held_parts(file: Path, index: Mapping[str, Any]) -> frozenset[str]:
    """The parts of `index` whose weights are in the file."""
    names = tensor_shapes(file)
    parts = (part for part in TRAINED if isinstance(index.get(part), list))
    return frozenset(part for part in parts if any(name.startswith(_begins(part, index)) for name in names))


def _begins(part: str, index: Mapping[str, Any]) -> tuple[str, ...]:
    return T5 if str(index[part][1]).startswith(("T5", "UMT5")) else HELD.get(part, T5)


def load_single(file: Path, directory: PipelineDirectory, dtype: Any, **parts: Any) -> Any:
    """The pipeline; what the file lacks comes from the directory, and `parts` are as they are given."""
    kind: PipelineClass = directory.kind
    held = held_parts(file, directory.index)
    lacking = [part for part in TRAINED if part in directory.index and part not in {*held, *parts}]
    loaded = {part: _part(directory, part, dtype) for part in lacking if directory.index[part][1] is not None}
    return kind.found.from_single_file(
        str(file), config=str(directory.path), dtype=dtype, local_files_only=True, **{**loaded, **parts}
    )


def _part(directory: PipelineDirectory, part: str, dtype: Any) -> Any:
    from importlib import import_module

    library, name = directory.index[part]
    kind = getattr(import_module(library), name)
    return kind.from_pretrained(directory.path / part, dtype=dtype, use_safetensors=True, local_files_only=True)
