"""What a generator's directory holds and what drawing with it will take, before an hour is spent on it."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

from schemas.prompt import Prompt
from schemas.sample import Sample
from stages.generate import settings
from stages.generate.diffusion import Diffusion
from stages.generate.loading import Weights
from stages.generate.pipeline_directory import weight_files
from stages.generate.row_settings import used

BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I8": 1, "U8": 1, "F8_E4M3": 1, "F8_E5M2": 1}
LICENCES = ("LICEN[SC]E*", "licen[sc]e*", "COPYING*", "*/LICEN[SC]E*")
PROMPTS = ("a red apple on a table", "two keys on a striped cloth")


@dataclass(frozen=True, slots=True)
class PartOfModel:
    """A part's class, its parameters, and their bytes on disk by precision."""

    kind: str
    parameters: int
    disk: dict[str, int]


def explained(stage: Diffusion, measure: bool) -> dict[str, Any]:
    """What `--explain` tells, by name; with `measure` two pictures are drawn, of which nothing is kept. Raises InputError."""
    weights = stage.weights()
    directory, kind = weights.directory, weights.kind
    parts = {
        name: _part(directory.path, name, value) for name, value in directory.index.items() if _loaded(name, value)
    }
    parameters = sum(part.parameters for part in parts.values())
    size = directory.size(stage.size)
    told: dict[str, Any] = {
        "class": kind.name,
        "parts": {
            name: f"{part.kind}, {part.parameters / 1e6:,.1f} million parameters, {_precisions(part.disk)}"
            if part.parameters
            else part.kind
            for name, part in parts.items()
        },
        "draws": f"{size[0]}x{size[1]} unless told; sides are multiples of {directory.multiple} pixels",
        "settings": {name: value for name, value in used(stage.settings(), kind).items() if value is not None},
        "guidance": kind.guidance_kind,
        "negative_prompt": "yes" if "negative_prompt" in kind.accepts else "no",
        "lora": "yes" if hasattr(kind.found, "load_lora_weights") else "no",
        "rows": "in batches: a row has the same bytes in any company (measured)"
        if kind.family.together
        else "one by one: batches were not measured to leave a row's bytes alone",
        "guidance_by_row": "yes" if kind.family.guidance_by_row else "no: rows of other guidance are other batches",
        "memory": f"{parameters * 2 / 1e9:.2f} GB of weights in {settings.ACCELERATOR_DTYPE} on an accelerator, "
        f"{parameters * 4 / 1e9:.2f} GB in {settings.CPU_DTYPE} on a CPU; activations come on top",
        **told_files(weights),
        "licence": _licences(directory.path),
        "revision": weights.digest(),
    }
    if measure:
        told["seconds"] = _seconds(stage)
    return told


def told_files(weights: Weights) -> dict[str, Any]:
    """The files beside the directory, each with its values; and where parts wait that do not fit."""
    files = [file for file in (weights.single, weights.denoiser) if file is not None and file.suffix != ".gguf"]
    counts = {file.name: f"{sum(count for _, count in _tensors(file)) / 1e6:,.1f} million parameters" for file in files}
    offload = weights.options.offload
    return {**({"files": counts} if counts else {}), "offload": f"{offload}; none on a CPU"}


def _loaded(name: str, value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and name not in settings.UNUSED_PARTS and value[1] is not None


def _part(path: Path, name: str, value: list[str]) -> PartOfModel:
    parameters, disk = 0, Counter[str]()
    for file in weight_files(path / name):
        for dtype, count in _tensors(file):
            parameters += count
            disk[dtype] += count * BYTES.get(dtype, 1)
    return PartOfModel(f"{value[0]}.{value[1]}", parameters, dict(disk))


def _tensors(file: Path) -> Iterator[tuple[str, int]]:
    """Precision and number of values of each tensor, from the file's header."""
    from safetensors import safe_open

    with safe_open(file, "numpy") as opened:
        for name in opened.keys():  # noqa: SIM118  # it is no mapping
            tensor = opened.get_slice(name)
            yield tensor.get_dtype(), prod(tensor.get_shape())


def _precisions(disk: dict[str, int]) -> str:
    return " and ".join(f"{size / 1e9:.2f} GB of {dtype}" for dtype, size in sorted(disk.items())) + " on disk"


def _licences(path: Path) -> str:
    files = sorted({file.relative_to(path).as_posix() for pattern in LICENCES for file in path.glob(pattern)})
    card = path / "README.md"
    lines = card.read_text(errors="replace").splitlines()[:40] if card.is_file() else []
    names = [line.strip() for line in lines if line.startswith("license")]
    return (
        ", ".join([*files, *names])
        or "no licence file, and no README.md that names one: ask where the weights come from"
    )


def _seconds(stage: Diffusion) -> str:
    """Of one picture, measured on the second of two; the first warms up."""
    step = replace(stage, batch_size=1).open()
    for text in PROMPTS:
        began = time.perf_counter()
        list(step([Sample.from_prompt(Prompt(text), 0)]))
        seconds = time.perf_counter() - began
    return f"{seconds:.2f} s a picture, alone in its batch, on this machine"
