"""Check a pipeline's directory before anything is loaded: its parts are there, whole, and hold no pickle."""

import json
from dataclasses import dataclass
from math import lcm
from pathlib import Path
from typing import Any, Self

from pipeline.storage.weights import PICKLED
from schemas.errors import InputError
from stages.generate import settings
from stages.generate.pipeline_class import PipelineClass

DENOISERS = ("unet", "transformer", "decoder", "prior")
AUTOENCODERS = ("vae", "movq", "vqgan", "vqvae")
TRAINED = (*DENOISERS, *AUTOENCODERS, "text_encoder", "text_encoder_2", "text_encoder_3", "text_encoder_4")
VARIANT = "fp16"  # the one that people publish
Shapes = dict[str, tuple[int, ...]]
Size = tuple[int, int]  # pixels (width, height)


@dataclass(frozen=True, slots=True)
class PipelineDirectory:
    """A checked directory: `index` is its model_index.json, `kind` its class.

    `denoiser` is the part that draws, `autoencoder` the one that decodes, None where pixels are drawn.
    """

    path: Path
    index: dict[str, Any]
    kind: PipelineClass
    denoiser: str
    autoencoder: str | None

    @classmethod
    def checked(cls, path: Path, elsewhere: frozenset[str] = frozenset()) -> Self:
        """Raises InputError unless `path` is a whole pipeline with safe weights, of a class that draws from prompts.

        The weights of parts `elsewhere` are not looked for here.
        """
        missing = f"--model {path}: there is no model_index.json, so it is no diffusers pipeline directory"
        index = read_json(path / "model_index.json", missing)
        try:
            kind = PipelineClass.named(str(index.get("_class_name")))
        except InputError as error:
            raise InputError(f"--model {path}: {error}") from error
        named = {part: value for part, value in index.items() if _is_part(value)}
        for part in sorted(named.keys() - set(settings.UNUSED_PARTS)):
            _check_part(path, part, sorted(named), part not in elsewhere)
        denoiser = next((part for part in DENOISERS if part in named), None)
        autoencoder = next((part for part in AUTOENCODERS if part in named), None)
        if denoiser is None or (autoencoder is None and kind.parts & set(AUTOENCODERS)):
            lacking = sorted(kind.parts & set(DENOISERS + AUTOENCODERS) - named.keys())
            raise InputError(f"--model {path}: model_index.json names {sorted(named)}, expected {lacking} among them")
        return cls(path, index, kind, denoiser, autoencoder)

    def part_folders(self) -> list[Path]:
        """Of the parts that it names, those that are there."""
        return [
            self.path / part
            for part in sorted(self.index)
            if _is_part(self.index[part]) and (self.path / part).is_dir()
        ]

    @property
    def draws_by_flow(self) -> bool:
        """Whether it draws with flow matching and so takes no other kind of scheduler."""
        return "Flow" in str(self.index["scheduler"][1])

    def config(self, part: str) -> dict[str, Any]:
        """A part's config.json. Raises InputError if there is none."""
        return read_json(self.path / part / "config.json", f"--model {self.path}: its part {part!r} has no config.json")

    @property
    def variant(self) -> str | None:
        """Which set of weights is read: None the usual one, `VARIANT` where a part has no other."""
        parts = (part for part, value in self.index.items() if _is_part(value) and part not in settings.UNUSED_PARTS)
        return VARIANT if any(is_variant(self.path / part) for part in parts) else None

    @property
    def shrinks(self) -> int:
        """Pixels of a side that become one latent cell."""
        return 1 if self.autoencoder is None else shrinks_by(self.config(self.autoencoder))

    @property
    def multiple(self) -> int:
        """Pixels that both sides of a picture must be multiples of."""
        patch = self.config(self.denoiser).get("patch_size") or 1
        cells = max(2 if self.kind.packs else 1, patch[-1] if isinstance(patch, list) else int(patch))
        # Kandinsky's pipelines round up to whole squares of the autoencoder's scale.
        cells = self.shrinks if self.autoencoder == "movq" else cells
        return lcm(settings.LEAST, self.shrinks * lcm(cells, self.kind.family.multiple))

    @property
    def own_size(self) -> Size:
        """(width, height) that the model draws unless told: by its call, its denoiser's config, or as FLUX and its kin do."""
        width, height = self.kind.accepts.get("width"), self.kind.accepts.get("height")
        cells = self.config(self.denoiser).get("sample_size")
        if isinstance(cells, int):
            return cells * self.shrinks, cells * self.shrinks
        if isinstance(width, int) and isinstance(height, int):
            return width, height
        cells = int(self.index.get("default_sample_size") or settings.OWN_SIDE)
        side = int(self.kind.accepts.get("output_resolution") or cells * self.shrinks)
        return side, side

    def size(self, requested: int | Size | None) -> Size:
        """(width, height) in pixels of a picture drawn with `requested`. Raises InputError if the model cannot draw it."""
        size = (
            self.own_size if requested is None else (requested, requested) if isinstance(requested, int) else requested
        )
        multiple = self.multiple
        if any(side < multiple or side % multiple for side in size):
            named = size[0] if size[0] == size[1] else f"{size[0]}x{size[1]}"
            raise InputError(f"size {named}: {self.path.name} draws sides that are multiples of {multiple} pixels")
        if "height" not in self.kind.accepts and size != self.own_size:
            raise InputError(f"size {size[0]}x{size[1]}: a {self.kind.name} draws its own size only; leave it out")
        drawn = self._drawn(size)
        if drawn != size:
            raise InputError(
                f"size {size[0]}x{size[1]}: a {self.kind.name} would draw {drawn[0]}x{drawn[1]}; ask for that"
            )
        return size

    def _drawn(self, size: Size) -> Size:
        """What the pipeline makes of `size`."""
        family, (width, height) = self.kind.family, size
        if family.sizes and size not in family.sizes:
            return min(family.sizes, key=lambda one: abs(one[0] / one[1] - width / height))
        if not family.area:
            return size
        scale, cells = (self.own_size[0] * self.own_size[1] / (width * height)) ** 0.5, 2 * self.shrinks
        return int(width * scale // cells * cells), int(height * scale // cells * cells)


def shrinks_by(config: dict[str, Any]) -> int:
    """How many pixels of a side an autoencoder with this config makes one latent cell of."""
    if "spatial_compression_ratio" in config:
        return int(config["spatial_compression_ratio"])
    for name, less in (("block_out_channels", 1), ("encoder_block_out_channels", 1), ("temperal_downsample", 0)):
        if name in config:
            return int(2 ** (len(config[name]) - less))
    return int(config["up_down_scale_factor"] ** config["levels"]) if "levels" in config else settings.OWN_SHRINK


def _is_part(value: Any) -> bool:
    """Whether an entry of model_index.json names a part: [library, class]."""
    return isinstance(value, list) and len(value) == 2 and all(isinstance(one, str) for one in value)


def _check_part(directory: Path, part: str, named: list[str], with_weights: bool) -> None:
    folder = directory / part
    if not folder.is_dir() or not any(folder.iterdir()):
        raise InputError(f"--model {directory}: its part {part!r} is missing; model_index.json names {named}")
    if part not in TRAINED and not (folder / "config.json").is_file():
        return
    read_json(folder / "config.json", f"--model {directory}: its part {part!r} has no config.json")
    if not with_weights:
        return
    files = weight_files(folder)
    pickled = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLED)
    if not files and (part in TRAINED or pickled):
        reason = f"only pickled weights {pickled}, which are never loaded" if pickled else "no weights"
        raise InputError(f"--model {directory}: its part {part!r} holds {reason}; give *.safetensors")
    for file in files:
        tensor_shapes(file)


def weight_files(folder: Path) -> list[Path]:
    """The weights that loading the folder would read: all shards where an index lists them."""
    return _files_of(folder, "") or _files_of(folder, f".{VARIANT}")


def is_variant(folder: Path) -> bool:
    """Whether a part has its weights in half precision only, as `model.fp16.safetensors`; else those are not read."""
    return not _files_of(folder, "") and bool(_files_of(folder, f".{VARIANT}"))


def _files_of(folder: Path, variant: str) -> list[Path]:
    for index in folder.glob(f"*.safetensors.index{variant}.json"):
        return sorted({folder / name for name in read_json(index)["weight_map"].values()})
    dots = 2 if variant else 1
    return sorted(path for path in folder.glob(f"*{variant}.safetensors") if path.name.count(".") == dots)


def read_json(path: Path, missing: str = "") -> dict[str, Any]:
    """A file of JSON. Raises InputError, with `missing` if it is not there."""
    if not path.is_file():
        raise InputError(missing or f"{path} is missing; fetch the model again")
    try:
        data = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error}); fetch the model again") from error
    if not isinstance(data, dict):
        raise InputError(f"{path}: expected a JSON object, and it is {str(data)[:60]!r}; fetch the model again")
    return data


def tensor_shapes(file: Path) -> Shapes:
    """Names and shapes of the tensors in a file, from its header. Raises InputError for a file that is missing or torn."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as tensors:
            return {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise InputError(f"{file}: these weights cannot be read ({error}); fetch the model again") from error
