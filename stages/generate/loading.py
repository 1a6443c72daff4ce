"""Check a text-to-image directory before anything is loaded, and load it as `settings` says."""

import json
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self

from pipeline.storage.weights import PICKLED, PIPELINE_FILES, model_directory, model_file, weights_digest
from schemas.errors import InputError
from stages.generate import settings
from stages.generate.settings import FAMILIES, SCHEDULES, Family

MODEL_PARTS = ("unet", "transformer", "vae", "text_encoder", "text_encoder_2", "text_encoder_3")
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Weights:
    """A checked pipeline directory with what is swapped in: another UNet, a LoRA, another scheduler."""

    directory: Path
    family: Family
    unet: Path | None = None
    lora: Path | None = None
    schedule: str | None = None

    @classmethod
    def find(cls, model: str, unet: str | None, lora: str | None, schedule: str | None) -> Self:
        """Find and check everything. Raises InputError that names the part and what is wrong with it."""
        directory = model_directory(model, PIPELINE_FILES)
        family = check_pipeline(directory)
        if schedule is not None and schedule not in SCHEDULES:
            raise InputError(f"scheduler {schedule!r}: expected None (the model's own) or one of {sorted(SCHEDULES)}")
        if schedule is not None and family.flow:
            raise InputError(
                f"scheduler {schedule!r}: {model} draws with flow matching and keeps its own; leave it out"
            )
        swapped = None if unet is None else model_file(unet)
        if swapped is not None:
            _check_swap(swapped, directory, family)
        adapter = None if lora is None else model_file(lora)
        if adapter is not None:
            _check_lora(adapter)
        return cls(directory, family, swapped, adapter, schedule)

    def digest(self) -> str:
        """Names all weights together."""
        files = [path for path in (self.unet, self.lora) if path is not None]
        if not files:
            return weights_digest(self.directory)
        parts = [weights_digest(path) for path in (self.directory, *files)]
        return blake2b(" ".join(parts).encode(), digest_size=16).hexdigest()

    def side(self, size: int | None) -> int:
        """The side in pixels of a picture drawn with `size`. Raises InputError if the model cannot draw it."""
        shrinks = 2 ** (len(_config(self.directory, "vae")["block_out_channels"]) - 1)
        own = self.family.own_side or int(_config(self.directory, self.family.denoiser)["sample_size"])
        side = own * shrinks if size is None else size
        # diffusers itself asks for multiples of 8 whatever the autoencoder; FLUX would round in silence.
        multiple = max(8, shrinks * self.family.multiple)
        if side < multiple or side % multiple:
            raise InputError(f"size {side}: {self.directory.name} draws sides that are multiples of {multiple} pixels")
        return side


def check_pipeline(directory: Path) -> Family:
    """The family of a diffusers pipeline. Raises InputError unless `directory` is a whole one with safe weights."""
    missing = f"--model {directory}: there is no model_index.json, so it is no diffusers pipeline directory"
    index = _json(directory / "model_index.json", missing)
    name = index.get("_class_name")
    if name not in FAMILIES:
        raise InputError(f"--model {directory}: a {name}; known are {sorted(FAMILIES)} (stages/generate/settings.py)")
    named = {part: value for part, value in index.items() if isinstance(value, list) and value[0] is not None}
    for part in named.keys() - settings.UNUSED_PARTS:
        _check_part(directory, part, sorted(named))
    if FAMILIES[name].denoiser not in named or "vae" not in named:
        wanted = f"{FAMILIES[name].denoiser!r} and 'vae'"
        raise InputError(f"--model {directory}: model_index.json names {sorted(named)}, expected {wanted} among them")
    return FAMILIES[name]


def _check_part(directory: Path, part: str, named: list[str]) -> None:
    folder = directory / part
    if not folder.is_dir() or not any(folder.iterdir()):
        raise InputError(f"--model {directory}: its part {part!r} is missing; model_index.json names {named}")
    if part not in MODEL_PARTS:
        return
    _config(directory, part)
    files = _weight_files(folder)
    if not files:
        pickled = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLED)
        reason = f"only pickled weights {pickled}, which are never loaded" if pickled else "no weights"
        raise InputError(f"--model {directory}: its part {part!r} holds {reason}; give *.safetensors")
    for file in files:
        _shapes(file)


def _weight_files(folder: Path) -> list[Path]:
    """The weights that loading the folder would read: all shards where an index lists them."""
    for index in folder.glob("*.safetensors.index.json"):
        return sorted({folder / name for name in _json(index)["weight_map"].values()})
    # `model.fp16.safetensors` is a variant, which is not loaded.
    return sorted(path for path in folder.glob("*.safetensors") if path.name.count(".") == 1)


def _config(directory: Path, part: str) -> dict[str, Any]:
    return _json(directory / part / "config.json", f"--model {directory}: its part {part!r} has no config.json")


def _json(path: Path, missing: str = "") -> dict[str, Any]:
    if not path.is_file():
        raise InputError(missing or f"{path} is missing; fetch the model again")
    try:
        return dict(json.loads(path.read_text()))
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); fetch the model again") from error


def _shapes(file: Path) -> Shapes:
    """Names and shapes of the tensors in a file, from its header. Raises InputError for a file that is missing or torn."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as tensors:
            return {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise InputError(f"{file}: these weights cannot be read ({error}); fetch the model again") from error


def _check_swap(file: Path, directory: Path, family: Family) -> None:
    """A UNet must have exactly the tensors of the one that it replaces."""
    if family.denoiser != "unet":
        raise InputError(f"unet {file}: {directory} has a {family.denoiser}, no UNet to replace")
    own: Shapes = {}
    for part in _weight_files(directory / "unet"):
        own |= _shapes(part)
    given = _shapes(file)
    if given == own:
        return
    different = sorted(name for name in own.keys() | given.keys() if own.get(name) != given.get(name))
    raise InputError(
        f"unet {file}: {len(different)} of its tensors do not fit {directory}, such as {different[0]}: "
        f"{given.get(different[0])} instead of {own.get(different[0])}; a UNet goes with the model that it was made from"
    )


def _check_lora(file: Path) -> None:
    other = [name for name in _shapes(file) if "lora" not in name.lower() and not name.endswith("alpha")]
    if other:
        raise InputError(f"lora {file}: {other[0]!r} is no LoRA's tensor; a whole UNet is given as `unet`")


def load(weights: Weights, side: int, steps: int) -> Any:
    """The pipeline on the accelerator if there is one, ready to draw pictures of `side` pixels in `steps` steps."""
    import torch
    from diffusers import DiffusionPipeline

    _quieten()
    accelerator = torch.accelerator.is_available()
    device = str(torch.accelerator.current_accelerator()) if accelerator else "cpu"
    dtype = getattr(torch, settings.ACCELERATOR_DTYPE if accelerator else settings.CPU_DTYPE)
    index = _json(weights.directory / "model_index.json")
    family = weights.family
    fixed = {name: value for name, value in family.load.items() if name in index or name not in settings.NO_PARTS}
    pipeline = DiffusionPipeline.from_pretrained(
        weights.directory, dtype=dtype, use_safetensors=True, local_files_only=True, **fixed
    )
    _adapt(pipeline, weights)
    pipeline.to(device)
    pipeline.set_progress_bar_config(disable=True)
    denoiser = getattr(pipeline, family.denoiser)
    denoiser.set_attention_backend(settings.ATTENTION)
    if side >= settings.SLICE_FROM:
        pipeline.vae.enable_slicing()
    if side > settings.TILE_ABOVE:
        pipeline.vae.enable_tiling()
    if accelerator and family.compile and steps >= settings.COMPILE_FROM_STEPS:
        denoiser.compile()
    return pipeline


def _adapt(pipeline: Any, weights: Weights) -> None:
    """Swap in UNet, LoRA and scheduler."""
    import diffusers
    from safetensors.torch import load_file

    if weights.unet is not None:
        pipeline.unet.load_state_dict(load_file(weights.unet))
    if weights.lora is not None:
        pipeline.load_lora_weights(str(weights.lora.parent), weight_name=weights.lora.name)
        pipeline.fuse_lora()  # into the weights: drawing then costs what it costs without
        pipeline.unload_lora_weights()
    if weights.schedule is not None:
        schedule = SCHEDULES[weights.schedule]
        chosen = getattr(diffusers, schedule.scheduler)
        pipeline.scheduler = chosen.from_config(pipeline.scheduler.config, **schedule.settings)


def _quieten() -> None:
    """No bars, and no warnings: the one for a prompt that is too long prints the prompt, which no log may hold."""
    import diffusers.utils.logging
    import transformers.utils.logging

    for library in (diffusers.utils.logging, transformers.utils.logging):
        library.disable_progress_bar()
        library.set_verbosity_error()
