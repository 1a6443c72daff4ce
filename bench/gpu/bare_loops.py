"""Loops that a user of diffusers writes: a batch drawn, every picture saved as JPEG, and the next.

`stock` is as the documentation begins. `tuned` has what its page on speed advises: channels-last, fused projections of query,
key and value, regional compilation of the denoiser, and a compiled decoder.
"""

import io
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.gpu.architectures import ARCHITECTURES
from stages.world.grammar import prompts

WARM = 2  # batches before the clock starts: kernels are chosen and compiled in them
LEAST = 2  # batches that are timed at least
QUALITY = 95


@dataclass(frozen=True)
class Loop:
    """What a loop did: `begun` and `ended` are unix seconds of its steady part, `flops` the denoiser's for one image."""

    images_per_second: float
    begun: float
    ended: float
    warm_up_seconds: float
    flops: float


def bare(name: str, folder: Path, seconds: float, *, tuned: bool, tiny: bool) -> Loop:
    """Draw batch after batch for about `seconds`. Call it in a process of its own.

    Args:
        name: Of `ARCHITECTURES`.
        folder: Its directory.
        seconds: Of the steady part; at least `LEAST` batches are drawn.
        tuned: See the module.
        tiny: Whether the weights are; then what is compiled is traced and run as it is, since compiling takes a minute on a CPU.
    """
    import torch

    architecture = ARCHITECTURES[name]
    torch.set_num_threads(1)
    start = time.perf_counter()
    pipeline = _loaded(folder, architecture.schedule)
    texts = [prompt.generation_prompt for prompt in prompts(0, architecture.batch)]
    call = {**architecture.called(tiny), "prompt": texts}
    flops = _flops(pipeline, architecture.denoiser, call) / len(texts)
    if tuned:
        _tune(pipeline, architecture.denoiser, "aot_eager" if tiny else "inductor")
    for at in range(WARM):
        _batch(pipeline, call, at)
    warm = time.perf_counter() - start
    begun, batches = time.time(), 0
    while batches < LEAST or time.time() - begun < seconds:
        _batch(pipeline, call, WARM + batches)
        batches += 1
    ended = time.time()
    return Loop(batches * len(texts) / (ended - begun), begun, ended, warm, flops)


def _loaded(folder: Path, schedule: str | None) -> Any:
    import torch
    from diffusers import DiffusionPipeline

    from stages.generate.loading import scheduler_of
    from stages.generate.quiet import quieten

    quieten()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    pipeline = DiffusionPipeline.from_pretrained(folder, dtype=dtype, local_files_only=True).to(device)
    pipeline.set_progress_bar_config(disable=True)
    if schedule is not None:
        pipeline.scheduler = scheduler_of(schedule, pipeline.scheduler)
    return pipeline


def _tune(pipeline: Any, denoiser: str, backend: str) -> None:
    import torch

    part = getattr(pipeline, denoiser)
    for each in (part, pipeline.vae):
        each.to(memory_format=torch.channels_last)
    part.fuse_qkv_projections()
    part.compile_repeated_blocks(fullgraph=True, backend=backend)
    pipeline.vae.decoder.compile(backend=backend)


def _batch(pipeline: Any, call: Mapping[str, Any], number: int) -> None:
    """Draw and encode one batch, as a plain loop does."""
    import torch

    rows = len(call["prompt"])
    generators = [torch.Generator("cpu").manual_seed(number * rows + row) for row in range(rows)]
    for picture in pipeline(**call, generator=generators).images:
        picture.save(io.BytesIO(), "JPEG", quality=QUALITY)


def _flops(pipeline: Any, denoiser: str, call: Mapping[str, Any]) -> float:
    """Operations of all the denoiser's forwards in one call of the pipeline, counted by torch from the shapes."""
    from torch.utils.flop_counter import FlopCounterMode

    part = getattr(pipeline, denoiser)
    own, total = part.forward, 0.0

    def counted(*args: Any, **named: Any) -> Any:
        nonlocal total
        with FlopCounterMode(display=False) as counter:
            made = own(*args, **named)
        total += counter.get_total_flops()
        return made

    part.forward = counted
    try:
        pipeline(**{**call, "output_type": "latent"})
    finally:
        del part.forward  # the class's own again
    return total
