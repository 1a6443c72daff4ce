"""What makes a loaded pipeline faster at the price of other bytes: `--compile` and `--fp8`, each with a fingerprint of its own.

Which parts are treated how stands in `settings.FAMILIES`, as data.
"""

from dataclasses import dataclass
from typing import Any

from schemas.errors import InputError
from stages.generate import settings
from stages.generate.pipeline_class import PipelineClass

FP8_CAPABILITY = (8, 9)  # of CUDA: Ada and Hopper have units for float8


@dataclass(frozen=True, slots=True)
class SpeedTuning:
    """`compile`: channels-last, fused projections, compiled blocks and decoder. `fp8`: the denoiser's linear layers in float8."""

    compile: bool = False
    fp8: bool = False

    def check(self, kind: PipelineClass) -> None:
        """Raise InputError for what this class of pipelines cannot have."""
        if self.compile and not kind.family.blocks:
            known = sorted(name for name, family in settings.FAMILIES.items() if family.blocks)
            raise InputError(f"--compile: which blocks of a {kind.name} repeat is known of {', '.join(known)} only")

    def apply(self, pipeline: Any, denoiser: str, kind: PipelineClass) -> None:
        """Tune a pipeline where it will draw, in place. Raises InputError where torchao is missing or the card is too old."""
        part, decoder = getattr(pipeline, denoiser), pipeline.vae.decoder if hasattr(pipeline, "vae") else None
        if self.compile:
            _lay_out(part, decoder, kind)
        if self.fp8:
            _in_float8(part)
        if self.compile:
            _compile([*_blocks(part, kind), *([decoder] if decoder is not None else [])])


UNTUNED = SpeedTuning()


def _lay_out(part: Any, decoder: Any, kind: PipelineClass) -> None:
    import torch

    if kind.family.channels_last:
        part.to(memory_format=torch.channels_last)
    if decoder is not None:
        decoder.to(memory_format=torch.channels_last)  # convolutions, whatever the denoiser is made of
    if kind.family.fuse:
        part.fuse_qkv_projections()


def _blocks(part: Any, kind: PipelineClass) -> list[Any]:
    return [module for module in part.modules() if type(module).__name__ in kind.family.blocks]


def _compile(modules: list[Any]) -> None:
    """Each shape for itself, so that what a batch computes does not hang on the shapes before it; too many are an error."""
    from torch._dynamo import config

    config.recompile_limit = config.accumulated_recompile_limit = settings.MOST_SHAPES
    for module in modules:
        module.compile(backend=settings.COMPILER, dynamic=False, fullgraph=True)


def _in_float8(part: Any) -> None:
    """Weights and activations where the card has units for them; on a CPU the weights alone."""
    import torch

    try:
        from torchao.quantization import (
            Float8DynamicActivationFloat8WeightConfig,
            Float8WeightOnlyConfig,
            PerRow,
            quantize_,
        )
    except ImportError as error:
        raise InputError("--fp8 needs the package torchao: pip install 'hazmat[fp8]'") from error
    cuda = part.device.type == "cuda"
    if cuda and torch.cuda.get_device_capability(part.device) < FP8_CAPABILITY:
        name = torch.cuda.get_device_name(part.device)
        raise InputError(f"--fp8: {name} has no units for float8 (CUDA capability 8.9 or newer); leave it out")
    # A scale a row of activations: the result of a sample does not hang on its neighbours.
    config = Float8DynamicActivationFloat8WeightConfig(granularity=PerRow()) if cuda else Float8WeightOnlyConfig()
    quantize_(part, config, filter_fn=lambda module, _: _fits(module))


def _fits(module: Any) -> bool:
    """Linear layers whose sides float8 kernels take; small ones would gain nothing."""
    import torch

    return isinstance(module, torch.nn.Linear) and not any(side % 16 for side in module.weight.shape)
