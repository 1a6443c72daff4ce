"""How the pipelines of each family are run, and why so: one table for all that a recipe need not say.

Memory and seconds named here are from the sources given; nothing was measured on an accelerator by us yet.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

# On an accelerator bf16: half the memory, and the range of fp32. fp16 overflows to NaN in SDXL's autoencoder and in T5.
# On a CPU fp32: bf16 gains nothing without matrix units (46 against 44 GFLOP/s, PACKAGES.md part 3).
ACCELERATOR_DTYPE = "bfloat16"
CPU_DTYPE = "float32"
# torch's scaled_dot_product_attention: it chooses flash kernels itself and needs no further package. Named, so that an
# environment variable (DIFFUSERS_ATTN_BACKEND) cannot change the bytes of a run.
ATTENTION = "native"
# Decoding one 1024-pixel picture takes some 2.5 GB in bf16, so a batch is decoded picture by picture from this side on; below,
# slicing saves nothing worth having.
SLICE_FROM = 768
# A side beyond every family's own is decoded in tiles, since memory grows with the area. Tiles are blended where they
# meet, which changes pixels: so never at or below 1024.
TILE_ABOVE = 1024
# Compiling takes a minute or two a worker and saves about a quarter of the denoiser's time (SDXL, 30 steps, bf16:
# 3.32 -> 2.54 s, research/pipelines_and_engines.md 4.1). With few steps the autoencoder is 39-54 % of the time and
# there is little to save. On CPUs never: no figure shows a gain, and every worker would need a C++ compiler.
COMPILE_FROM_STEPS = 20

UNUSED_PARTS = frozenset({"safety_checker", "feature_extractor", "image_encoder"})
"""Parts that are never loaded: a checker inside the generator would blank pictures that labellers are to judge."""


@dataclass(frozen=True, slots=True)
class Family:
    """The pipelines of one diffusers class.

    `denoiser` is the part that is swapped, adapted and compiled. A picture's side must be a multiple of `multiple` latent cells;
    the model's own side is `own_side` latent cells, or what the denoiser's config says. `flow` models draw with flow
    matching and take no other scheduler. `load` and `call` are fixed arguments.
    """

    denoiser: str
    flow: bool = False
    multiple: int = 1
    own_side: int | None = None
    compile: bool = True
    image_to_image: bool = True
    sized_image_to_image: bool = False  # its image-to-image would scale to the model's own side unless told a size
    load: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    call: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


NO_PARTS = {"safety_checker": None, "feature_extractor": None, "image_encoder": None, "requires_safety_checker": False}
# Both depend on which packages happen to be installed, so that a run's bytes would too, were they not switched off:
# the watermark on invisible-watermark, the caption's cleaning on Beautiful Soup.
NO_WATERMARK = {"add_watermarker": False}
NO_CLEANING = {"clean_caption": False}
# Else PixArt draws the nearest of its trained sizes and scales that to the one asked for.
NO_BINNING = {"use_resolution_binning": False}
# FLUX.1-schnell was trained with 256 T5 tokens (its model card); dev would take 512, prompts here are far shorter.
TOKENS = {"max_sequence_length": 256}

FAMILIES: dict[str, Family] = {
    # 1.x and 2.x: which of the two, and so epsilon or v-prediction, is in the scheduler's config. The U-Net is small: most of
    # the 1.60 -> 1.06 s that compiling saves (50 steps, A100) is launch overhead, which batches of 16 hide already.
    "StableDiffusionPipeline": Family("unet", compile=False, load=NO_PARTS),
    "StableDiffusionXLPipeline": Family("unet", load=NO_WATERMARK),
    "StableDiffusion3Pipeline": Family("transformer", flow=True, multiple=2, sized_image_to_image=True),
    # The transformer's config has no sample_size; diffusers draws 128 latent cells = 1024 pixels.
    "FluxPipeline": Family("transformer", flow=True, multiple=2, own_side=128, sized_image_to_image=True, call=TOKENS),
    "PixArtAlphaPipeline": Family("transformer", multiple=2, image_to_image=False, call=NO_BINNING | NO_CLEANING),
    "PixArtSigmaPipeline": Family("transformer", multiple=2, image_to_image=False, call=NO_BINNING | NO_CLEANING),
}


@dataclass(frozen=True, slots=True)
class Schedule:
    """A scheduler of diffusers with the settings that differ from the model's own config."""

    scheduler: str
    settings: Mapping[str, Any]


# A model distilled to few steps was taught from the noisiest timestep on: "trailing" spacing begins there, while the
# "leading" of SDXL's own config begins a whole step later and leaves the picture grey (Lin et al. 2024, table 1).
TRAILING = {"timestep_spacing": "trailing"}
SCHEDULES: dict[str, Schedule] = {
    "euler_trailing": Schedule("EulerDiscreteScheduler", TRAILING),  # SDXL-Lightning's model card
    "euler_ancestral_trailing": Schedule("EulerAncestralDiscreteScheduler", TRAILING),  # SDXL-Turbo's own
    # 25 steps draw what 50 of PNDM do (Lu et al. 2022, DPM-Solver++); Karras sigmas as its authors advise below 30.
    "dpm": Schedule("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
}
