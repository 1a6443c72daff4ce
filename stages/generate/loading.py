"""Find a pipeline and what is swapped into it, check them before anything is loaded, and load them as `settings` says."""

from dataclasses import dataclass
from hashlib import blake2b
from importlib import import_module
from pathlib import Path
from typing import Any, Self

from pipeline.storage.weights import PIPELINE_FILES, model_directory, model_file, weights_digest
from schemas.errors import InputError
from schemas.generation import lora_and_weight
from stages.generate import settings
from stages.generate.load_options import AS_IT_IS, LoadOptions
from stages.generate.offloading import place
from stages.generate.pipeline_class import PipelineClass
from stages.generate.pipeline_directory import DENOISERS, PipelineDirectory, Shapes, tensor_shapes, weight_files
from stages.generate.quiet import quieten
from stages.generate.settings import SCHEDULES, Schedule
from stages.generate.single_file import checkpoint, directory_of, load_single
from stages.generate.swapped_parts import checked_denoiser, checked_embedding, swapped_parts, teach
from stages.generate.tuning import UNTUNED, SpeedTuning


@dataclass(frozen=True, slots=True)
class Weights:
    """A checked pipeline directory with what is swapped in: another UNet, a LoRA, another scheduler."""

    directory: PipelineDirectory
    unet: Path | None = None
    loras: tuple[tuple[Path, float], ...] = ()
    schedule: str | None = None
    single: Path | None = None  # the checkpoint, where it is one file
    denoiser: Path | None = None
    embeddings: tuple[Path, ...] = ()
    options: LoadOptions = AS_IT_IS

    @classmethod
    def find(
        cls,
        model: str,
        unet: str | None,
        loras: tuple[str, ...],
        schedule: str | None,
        options: LoadOptions = AS_IT_IS,
    ) -> Self:
        """Find and check everything. Raises InputError that names the part and what is wrong with it."""
        single = checkpoint(model)
        directory = _directory(model, single, options)
        if schedule is not None and schedule not in SCHEDULES and not _is_scheduler(schedule):
            raise InputError(
                f"scheduler {schedule!r}: expected None (the model's own) one of {sorted(SCHEDULES)} or a class"
            )
        if schedule is not None and directory.draws_by_flow:
            raise InputError(
                f"scheduler {schedule!r}: {model} draws with flow matching and keeps its own; leave it out"
            )
        swapped = None if unet is None else model_file(unet)
        if swapped is not None:
            _check_swap(swapped, directory)
        adapters = tuple((model_file(file), weight) for file, weight in map(lora_and_weight, loras))
        if adapters and not hasattr(directory.kind.found, "load_lora_weights"):
            raise InputError(f"lora {loras[0]}: a {directory.kind.name} takes none; leave it out")
        for file, _ in adapters:
            _check_lora(file)
        denoiser = None if options.denoiser is None else checked_denoiser(model_file(options.denoiser), directory)
        embeddings = tuple(checked_embedding(model_file(file), directory) for file in options.embeddings)
        return cls(directory, swapped, adapters, schedule, single, denoiser, embeddings, options)

    @property
    def kind(self) -> PipelineClass:
        """The pipeline's class."""
        return self.directory.kind

    def digest(self) -> str:
        """Names all weights together."""
        swapped = (self.unet, *(file for file, _ in self.loras), self.single, self.denoiser, *self.embeddings)
        files = [path for path in swapped if path is not None]
        if not files and self.options.quantise is None:
            return weights_digest(self.directory.path)
        own = self.directory.part_folders() if self.single else [self.directory.path]
        parts = [weights_digest(path) for path in (*own, *files)]
        parts += [] if self.options.quantise is None else [self.options.quantise]
        return blake2b(" ".join(parts).encode(), digest_size=16).hexdigest()


def _directory(model: str, single: Path | None, options: LoadOptions) -> PipelineDirectory:
    """Where configs and what is not swapped lie."""
    if single is not None:
        return directory_of(single, options.config)
    if options.config is not None:
        raise InputError(
            f"--model-config {options.config}: goes with a checkpoint in one file, and --model {model} is none"
        )
    found = model_directory(model, PIPELINE_FILES)
    elsewhere = set(DENOISERS[:2]) if options.denoiser is not None else set()
    return PipelineDirectory.checked(found, frozenset(elsewhere))


def _check_swap(file: Path, directory: PipelineDirectory) -> None:
    """A UNet must have exactly the tensors of the one that it replaces."""
    if directory.denoiser != "unet":
        raise InputError(f"unet {file}: {directory.path} has a {directory.denoiser}, no UNet to replace")
    own: Shapes = {}
    for part in weight_files(directory.path / "unet"):
        own |= tensor_shapes(part)
    shapes = tensor_shapes(file)
    if shapes == own:
        return
    different = sorted(name for name in own.keys() | shapes.keys() if own.get(name) != shapes.get(name))
    raise InputError(
        f"unet {file}: {len(different)} of its tensors do not fit {directory.path}, such as {different[0]}: "
        f"{shapes.get(different[0])} instead of {own.get(different[0])}; a UNet goes with the model that it was made from"
    )


def _is_scheduler(name: str) -> bool:
    import diffusers

    return name.endswith("Scheduler") and isinstance(getattr(diffusers, name, None), type)


def _check_lora(file: Path) -> None:
    other = [name for name in tensor_shapes(file) if "lora" not in name.lower() and not name.endswith("alpha")]
    if other:
        raise InputError(f"lora {file}: {other[0]!r} is no LoRA's tensor; a whole UNet is given as `unet`")


def load(weights: Weights, side: int, precision: str | None = None, tuning: SpeedTuning = UNTUNED) -> Any:
    """The pipeline on the accelerator if there is one, ready to draw pictures of at most `side` pixels."""
    import torch
    from diffusers import DiffusionPipeline

    quieten()
    _find_moved()
    accelerator = torch.accelerator.is_available()
    own = settings.ACCELERATOR_DTYPE if accelerator else settings.CPU_DTYPE
    dtype = getattr(torch, precision or own)
    directory, kind = weights.directory, weights.kind
    parts = {**kind.fixed_parts(directory.index), **swapped_parts(weights.denoiser, weights.options, directory, dtype)}
    if weights.single is not None:
        pipeline = load_single(weights.single, directory, dtype, **parts)
    else:
        pipeline = DiffusionPipeline.from_pretrained(
            directory.path,
            dtype=dtype,
            use_safetensors=True,
            local_files_only=True,
            variant=directory.variant,
            **parts,
        )
    _adapt(pipeline, weights)
    offload = place(pipeline, weights.options.offload)
    pipeline.set_progress_bar_config(disable=True)
    if offload != "none" and tuning != UNTUNED:
        raise InputError(
            f"--compile, --fp8: the weights wait outside of the accelerator (offload {offload}); leave them out"
        )
    tuning.apply(pipeline, directory.denoiser, kind)
    for part in pipeline.components.values():
        if hasattr(part, "set_attention_backend"):
            part.set_attention_backend(settings.ATTENTION)
    save_memory(getattr(pipeline, directory.autoencoder or "", None), side)
    return pipeline


def _find_moved() -> None:
    """Let diffusers find what published directories still name by where it once was."""
    import diffusers.pipelines

    for name, module in settings.MOVED.items():
        if not hasattr(diffusers.pipelines, name):
            setattr(diffusers.pipelines, name, import_module(module))


def save_memory(autoencoder: Any, side: int) -> None:
    """Decode pictures of this side (in pixels) as `settings` says; the same side always alike, whatever was drawn before."""
    for what, wanted in (("slicing", side >= settings.SLICE_FROM), ("tiling", side > settings.TILE_ABOVE)):
        if getattr(autoencoder, f"use_{what}", False) != wanted and hasattr(autoencoder, f"enable_{what}"):
            getattr(autoencoder, f"{'enable' if wanted else 'disable'}_{what}")()


def _adapt(pipeline: Any, weights: Weights) -> None:
    """Swap in UNet, LoRA and scheduler."""
    from safetensors.torch import load_file

    if weights.unet is not None:
        pipeline.unet.load_state_dict(load_file(weights.unet))
    for index, (file, _) in enumerate(weights.loras):
        pipeline.load_lora_weights(str(file.parent), weight_name=file.name, adapter_name=f"lora_{index}")
    for embedding in weights.embeddings:
        teach(pipeline, embedding)
    if weights.loras:
        names = [f"lora_{index}" for index in range(len(weights.loras))]
        pipeline.set_adapters(names, [weight for _, weight in weights.loras])
        pipeline.fuse_lora(adapter_names=names)  # into the weights: drawing then costs what it costs without
        pipeline.unload_lora_weights()
    if weights.schedule is not None:
        pipeline.scheduler = scheduler_of(weights.schedule, pipeline.scheduler)


def scheduler_of(name: str, own: Any) -> Any:
    """The scheduler called `name`, set up as the model's `own` is but for what the name says."""
    import diffusers

    schedule = SCHEDULES.get(name, Schedule(name, {}))
    changes = dict(schedule.settings)
    if own.config.get("rescale_betas_zero_snr") or own.config.get("beta_schedule") == "squaredcos_cap_v2":
        # Their first sigmas are huge: Karras' spacing puts several steps on one timestep, and the solver counts past its end.
        changes.pop("use_karras_sigmas", None)
    return getattr(diffusers, schedule.scheduler).from_config(own.config, **changes)
