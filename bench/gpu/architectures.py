"""Directories of diffusion pipelines in their published sizes with random weights, built on the card and without the network.

Speed does not depend on what the weights are. The sizes are those of the published `config.json` files: Stable Diffusion 1.5,
SDXL-Turbo and FLUX.1-schnell. `tiny` ones have the same classes and parts with a few thousand parameters.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.storage.weights import model_directory

GIB = 2**30
TINY_STEPS, TINY_SIDE = 2, 16
LETTERS = "▁abcdefghijklmnopqrstuvwxyz0123456789.,"


@dataclass(frozen=True)
class Architecture:
    """A pipeline to draw with: `recipe` is Hazmat's for it, `memory` what its weights and a batch take on a card (bytes)."""

    recipe: str
    build: Callable[[bool], Any]
    batch: int
    call: Mapping[str, Any]
    schedule: str | None
    denoiser: str
    memory: int

    def called(self, tiny: bool) -> dict[str, Any]:
        """How a loop calls the pipeline, beside the prompts."""
        small = {"num_inference_steps": TINY_STEPS, "height": TINY_SIDE, "width": TINY_SIDE}
        return {**self.call, **(small if tiny else {})}

    def flags(self, tiny: bool) -> tuple[str, ...]:
        """The same for Hazmat, where it is not what the recipe says; compiled, as the tuned loop is."""
        small = ("--steps", str(TINY_STEPS), "--size", f"{TINY_SIDE}x{TINY_SIDE}")
        return small if tiny else ("--compile",)


def write(architecture: Architecture, folder: Path, device: str, tiny: bool) -> Path:
    """Build with seeded random weights, in bfloat16 on an accelerator, and save as the published directories are."""
    import torch

    before = torch.get_default_dtype()
    torch.manual_seed(0)
    try:
        torch.set_default_dtype(torch.float32 if device == "cpu" else torch.bfloat16)
        with torch.device(device):
            pipeline = architecture.build(tiny)
    finally:
        torch.set_default_dtype(before)
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def stable_diffusion(tiny: bool) -> Any:
    """Stable Diffusion 1.5: 860 million parameters in the U-Net, 512 pixels."""
    from diffusers import PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel

    sizes = _small_unet() if tiny else {"sample_size": 64}
    return StableDiffusionPipeline(
        vae=_autoencoder(tiny),
        text_encoder=_clip(tiny),
        tokenizer=_clip_tokenizer(),
        unet=UNet2DConditionModel(**sizes, cross_attention_dim=_wide(tiny, 768)),
        scheduler=PNDMScheduler(skip_prk_steps=True, steps_offset=1, beta_start=0.00085, beta_schedule="scaled_linear"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def sdxl_turbo(tiny: bool) -> Any:
    """SDXL-Turbo: 2.57 billion parameters in the U-Net, 512 pixels."""
    from diffusers import EulerAncestralDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel

    times, pooled = (8, 32) if tiny else (256, 1280)
    sizes: dict[str, Any] = {
        "sample_size": 64,
        "block_out_channels": (320, 640, 1280),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": [1, 2, 10],
        "attention_head_dim": [5, 10, 20],
    }
    unet = UNet2DConditionModel(
        **(_small_unet() if tiny else sizes),
        cross_attention_dim=_wide(tiny, 768) + _wide(tiny, 1280),
        addition_embed_type="text_time",
        addition_time_embed_dim=times,
        projection_class_embeddings_input_dim=6 * times + pooled,
        use_linear_projection=True,
    )
    return StableDiffusionXLPipeline(
        vae=_autoencoder(tiny, scaling_factor=0.13025),
        text_encoder=_clip(tiny),
        text_encoder_2=_clip(tiny, large=True),
        tokenizer=_clip_tokenizer(),
        tokenizer_2=_clip_tokenizer(),
        unet=unet,
        scheduler=EulerAncestralDiscreteScheduler(timestep_spacing="trailing", steps_offset=1),
        add_watermarker=False,
    )


def flux_schnell(tiny: bool) -> Any:
    """FLUX.1-schnell: 11.9 billion parameters in the transformer, 4.8 in T5, 1024 pixels."""
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
    from transformers import T5Config, T5EncoderModel

    small = {"num_layers": 1, "num_single_layers": 1, "attention_head_dim": 16, "num_attention_heads": 2}
    width = _wide(tiny, 4096)
    layers = {"d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 4} if tiny else {"d_ff": 10240, "num_heads": 64}
    large = {"d_kv": 64, "num_layers": 24, "feed_forward_proj": "gated-gelu"}
    text = T5Config(vocab_size=32128, d_model=width, **(layers if tiny else large | layers))
    return FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0),
        vae=_autoencoder(tiny, channels=16, scaling_factor=0.3611, shift_factor=0.1159, flow=True),
        text_encoder=_clip(tiny),
        tokenizer=_clip_tokenizer(),
        text_encoder_2=T5EncoderModel(text),
        tokenizer_2=_t5_tokenizer(),
        transformer=FluxTransformer2DModel(
            **(small | {"axes_dims_rope": (4, 4, 8)} if tiny else {}),
            in_channels=64,
            joint_attention_dim=width,
            pooled_projection_dim=_wide(tiny, 768),
        ),
    )


def _small_unet() -> dict[str, Any]:
    """Two blocks of a few channels, for latents of 8 x 8 cells."""
    return {
        "sample_size": 8,
        "block_out_channels": (8, 16),
        "norm_num_groups": 4,
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "attention_head_dim": 4,
    }


def _wide(tiny: bool, width: int) -> int:
    return 32 if tiny else width


def _clip(tiny: bool, large: bool = False) -> Any:
    """CLIP ViT-L's text tower, or (`large`) OpenCLIP bigG's with its projection."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    width = _wide(tiny, 1280 if large else 768)
    words = _clip_tokenizer()
    config = CLIPTextConfig(
        vocab_size=len(words) if tiny else 49408,
        hidden_size=width,
        intermediate_size=width if tiny else 4 * width,
        projection_dim=width,
        num_hidden_layers=2 if tiny else 32 if large else 12,
        num_attention_heads=4 if tiny else 20 if large else 12,
        hidden_act="gelu" if large else "quick_gelu",
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    return (CLIPTextModelWithProjection if large else CLIPTextModel)(config)


def _autoencoder(tiny: bool, channels: int = 4, flow: bool = False, **settings: Any) -> Any:
    """84 million parameters, shrinks by 8; the tiny one by 2."""
    from diffusers import AutoencoderKL

    blocks = (8, 16) if tiny else (128, 256, 512, 512)
    return AutoencoderKL(
        block_out_channels=blocks,
        norm_num_groups=4 if tiny else 32,
        layers_per_block=1 if tiny else 2,
        down_block_types=("DownEncoderBlock2D",) * len(blocks),
        up_block_types=("UpDecoderBlock2D",) * len(blocks),
        latent_channels=channels,
        sample_size=32 if tiny else 512,
        **({"use_quant_conv": False, "use_post_quant_conv": False} if flow else {}),
        **settings,
    )


def _clip_tokenizer() -> Any:
    """The embedded world's: what a prompt costs is its 77 places, whatever stands there."""
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(model_directory("assets/world/t2i") / "tokenizer")


def _t5_tokenizer() -> Any:
    from transformers import T5Tokenizer

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((letter, -2.0) for letter in LETTERS)]
    return T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=512)


ARCHITECTURES = {
    "sd15": Architecture(
        "sd15", stable_diffusion, 16, {"num_inference_steps": 25, "guidance_scale": 7.5}, "dpm", "unet", 8 * GIB
    ),
    "turbo": Architecture(
        "sdxl_turbo",
        sdxl_turbo,
        16,
        {"num_inference_steps": 4, "guidance_scale": 0.0},
        "euler_ancestral_trailing",
        "unet",
        16 * GIB,
    ),
    "flux": Architecture(
        "flux",
        flux_schnell,
        4,
        {"num_inference_steps": 4, "guidance_scale": 0.0, "max_sequence_length": 256},
        None,
        "transformer",
        48 * GIB,
    ),
}
