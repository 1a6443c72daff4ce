"""How weights are read beyond a directory as it is: configs of a single file, another denoiser, fewer bits, new words."""

import importlib.util
from dataclasses import dataclass, fields
from importlib import import_module
from typing import Any

from schemas.errors import InputError

OFFLOADS = ("auto", "none", "model", "sequential", "group")
QUANTISED = {"int8": "torchao", "fp8": "torchao", "nf4": "bitsandbytes"}
"""Precisions of the denoiser's weights, and the package that computes with them."""
CARD = frozenset({"nf4"})
"""Those that need an accelerator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """`config` is the directory with the configs and tokenizers of a single-file checkpoint, None: beside it. `denoiser` is a
    .gguf or .safetensors file of a U-Net or transformer. `embeddings` are textual inversions, .safetensors. `offload` changes no
    bytes.

    Raises InputError for a value that is none, and for a package that is missing.
    """

    config: str | None = None
    denoiser: str | None = None
    quantise: str | None = None
    embeddings: tuple[str, ...] = ()
    offload: str = "auto"

    def __post_init__(self) -> None:
        if self.offload not in OFFLOADS:
            raise InputError(f"--offload {self.offload}: expected one of {', '.join(OFFLOADS)}")
        if self.quantise is None:
            return
        package = QUANTISED.get(self.quantise)
        if package is None:
            raise InputError(f"--quantise {self.quantise}: expected one of {', '.join(QUANTISED)}")
        if importlib.util.find_spec(package) is None:
            raise InputError(f"--quantise {self.quantise} needs the package {package}: pip install {package}")
        if self.denoiser is not None:
            raise InputError(
                "--quantise: goes with weights as they were trained; a --denoiser file has its own precision"
            )

    def given(self) -> dict[str, Any]:
        """Those that are not left as they are."""
        return {one.name: getattr(self, one.name) for one in fields(self) if getattr(self, one.name) != one.default}

    def describe(self) -> str:
        """What of it can change a picture, "" where nothing does."""
        told = {name: value for name, value in self.given().items() if name not in ("offload", "config")}
        return ", ".join(f"{name}={value!r}" for name, value in told.items())


AS_IT_IS = LoadOptions()


def quantisation(name: str) -> Any:
    """The config of diffusers that quantises weights while they are loaded. Raises InputError without an accelerator."""
    import torch
    from diffusers import BitsAndBytesConfig, TorchAoConfig

    if name in CARD and not torch.accelerator.is_available():
        raise InputError(f"--quantise {name}: {QUANTISED[name]} computes on an accelerator, and there is none")
    if name == "nf4":
        return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16)
    methods = import_module("torchao.quantization")
    return TorchAoConfig(methods.Int8WeightOnlyConfig() if name == "int8" else methods.Float8WeightOnlyConfig())
