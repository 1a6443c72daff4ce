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
# Compiling changes bytes and takes half a minute or more a worker, so it is asked for (`--compile`). It saves about a quarter of
# the denoiser's time (SDXL, 30 steps, bf16: 3.32 -> 2.54 s, research/pipelines_and_engines.md 4.1); blocks that repeat are compiled
# once, which takes a seventh of the time that the whole takes (PyTorch's recipe for regional compilation).
COMPILER = "inductor"  # torch.compile's backend
MOST_SHAPES = (
    4096  # compiled at most; more is an error, for torch would go on with other kernels and so with other bytes
)

UNUSED_PARTS = ("safety_checker", "feature_extractor", "image_encoder", "watermarker")
"""Parts that are never loaded: a checker inside the generator would blank pictures that labellers are to judge."""
# Watermarks and the caption's cleaning depend on which packages happen to be installed (invisible-watermark, Beautiful Soup), so
# that a run's bytes would too. The checker is not loaded.
SWITCHED_OFF: Mapping[str, Any] = MappingProxyType({"requires_safety_checker": False, "add_watermarker": False})
CALL: Mapping[str, Any] = MappingProxyType(
    {
        "clean_caption": False,
        # Else PixArt and its kind draw the nearest of their trained sizes and scale that to the one asked for.
        "use_resolution_binning": False,
        # What is drawn is what the row says was drawn: rewriting prompts is a stage of its own.
        "enable_prompt_rewrite": False,
        "use_pe": False,
        "render_text_images": False,
    }
)
"""What every pipeline is told that understands it."""
OWN_SIDE = (
    128  # latent cells drawn where neither the call nor the denoiser says: `default_sample_size` of FLUX and its kin
)
OWN_SHRINK = 8  # pixels a latent cell where an autoencoder does not say
LEAST = 8  # diffusers asks for multiples of 8 whatever the autoencoder


@dataclass(frozen=True, slots=True)
class Family:
    """What was measured of a class beyond what it says itself.

    `together`: rows drawn in one call have the bytes that they have alone, so that batches may be computed at once. What was
    not measured is drawn row by row: slower where a batch would fill the accelerator, and right whatever the pipeline does
    (padding prompts to the longest of a batch, one generator for all rows). A side must be a multiple of `multiple` latent cells
    beyond what the class says. With `area`, pictures of any form have the area of the model's own; `sizes` (width, height) are
    the only ones it draws.
    With `guidance_by_row` a call may have another guidance for each row. `tensors`: it gives tensors on its device if asked, the
    same values as arrays. `--compile` compiles the modules of the classes `blocks` one by one, where that is known; lays a
    `channels_last` denoiser's convolutions out so; and joins the projections of query, key and value to `fuse` them.
    `steps` and `guidance_scale` are what is drawn with unless said.
    """

    together: bool = False
    multiple: int = 1
    tensors: bool = False
    blocks: tuple[str, ...] = ()
    channels_last: bool = False
    fuse: bool = False
    steps: int | None = None
    guidance_scale: float | None = None
    area: bool = False
    guidance_by_row: bool = False
    sizes: tuple[tuple[int, int], ...] = ()
    call: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


UNMEASURED = Family()
# Drawn at 2 steps with tiny random weights, three prompts of different lengths: the bytes of a row alone are those in company
# (tests/stages/generate/test_every_class.py). Left out on purpose although they passed: those that pad prompts to the longest of a
# batch (Qwen-Image, Nucleus, Bria's FIBO) or lay them out by length (Z-Image, ERNIE), where bf16 kernels may choose otherwise.
MEASURED = (
    "StableDiffusionPAGPipeline",
    "StableDiffusionXLPAGPipeline",
    "StableDiffusion3PAGPipeline",
    "LatentConsistencyModelPipeline",
    "IFPipeline",
    "KandinskyCombinedPipeline",
    "KandinskyV22CombinedPipeline",
    "WuerstchenCombinedPipeline",
    "StableCascadeCombinedPipeline",
    "PixArtSigmaPAGPipeline",
    "FluxKontextPipeline",
    "HunyuanDiTPipeline",
    "HunyuanDiTPAGPipeline",
    "SanaPipeline",
    "SanaPAGPipeline",
    "SanaSprintPipeline",
    "AuraFlowPipeline",
    "LuminaPipeline",
    "Lumina2Pipeline",
    "ChromaPipeline",
    "CogView3PlusPipeline",
    "BriaPipeline",
    "Flux2Pipeline",
    "Flux2KleinPipeline",
    "Ideogram4Pipeline",
    "Krea2Pipeline",
    "OvisImagePipeline",
    "LongCatImagePipeline",
    "HunyuanImagePipeline",
)
# FLUX.1-schnell was trained with 256 T5 tokens (its model card); dev would take 512, prompts here are far shorter.
TOKENS = {"max_sequence_length": 256}

USUAL: dict[str, Any] = {"together": True, "tensors": True, "steps": 30, "guidance_scale": 7.5}
# Half of a U-Net's time is in its residual blocks' convolutions and norms, which repeat as its transformer blocks do.
UNET: dict[str, Any] = {"blocks": ("BasicTransformerBlock", "ResnetBlock2D"), "channels_last": True, "fuse": True}

FAMILIES: dict[str, Family] = {
    # 1.x and 2.x: which of the two, and so epsilon or v-prediction, is in the scheduler's config.
    "StableDiffusionPipeline": Family(guidance_by_row=True, **USUAL, **UNET),
    "StableDiffusionXLPipeline": Family(guidance_by_row=True, **USUAL, **UNET),
    "StableDiffusion3Pipeline": Family(
        guidance_by_row=True, multiple=2, blocks=("JointTransformerBlock",), fuse=True, **USUAL
    ),
    "FluxPipeline": Family(
        call=TOKENS, blocks=("FluxTransformerBlock", "FluxSingleTransformerBlock"), fuse=True, **USUAL
    ),
    "PixArtAlphaPipeline": Family(blocks=("BasicTransformerBlock",), fuse=True, **USUAL),
    "PixArtSigmaPipeline": Family(guidance_by_row=True, blocks=("BasicTransformerBlock",), fuse=True, **USUAL),
    **dict.fromkeys(MEASURED, Family(together=True)),
    "HiDreamImagePipeline": Family(together=True, area=True),
    "Kandinsky5T2IPipeline": Family(
        sizes=((1024, 1024), (640, 1408), (1408, 640), (768, 1280), (1280, 768), (896, 1152), (1152, 896))
    ),
}
MOVED = {"wuerstchen": "diffusers.pipelines.deprecated.wuerstchen"}
"""Libraries of parts that diffusers 0.42 keeps elsewhere than published directories (Würstchen, Stable Cascade) say."""
FROM_TEXT = frozenset({"OmniGenPipeline"})
"""Classes that draw from text alone although they say that pictures have to be given."""
FROM_PICTURES = ("Img2Img", "Inpaint", "Edit", "Layered", "Upscale", "SuperResolution", "ImageVariation")
"""What a class is called that changes a picture."""
NEEDS = {"OmniGenPipeline": "torchvision", "Cosmos2TextToImagePipeline": "cosmos_guardrail"}
"""Packages that a class fails without, although it does not say so."""


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
