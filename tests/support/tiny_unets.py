"""Tiny pipelines of the classes around Stable Diffusion, Kandinsky and Würstchen: those that denoise with U-Nets."""

from pathlib import Path
from typing import Any

import torch

from tests.support.tiny_language import byte_tokenizer, processor, qwen3_vl
from tests.support.tiny_parts import SIDE, WIDTH, t5, t5_tokenizer, vae
from tests.support.tiny_pipelines import sd3, sdxl, stable_diffusion, unet


def recast(pipeline: Any, name: str, without: tuple[str, ...] = (), **parts: Any) -> Any:
    """The parts of `pipeline`, but for some, in another class."""
    import diffusers

    kept = {part: value for part, value in pipeline.components.items() if part not in without}
    return getattr(diffusers, name)(**{**kept, **parts})


def sd_kin(name: str, **parts: Any) -> Any:
    """Stable Diffusion's parts."""
    return recast(stable_diffusion(), name, requires_safety_checker=False, **parts)


def lcm() -> Any:
    from diffusers import LCMScheduler

    scheduler = LCMScheduler(clip_sample=False)
    return sd_kin(
        "LatentConsistencyModelPipeline",
        unet=unet(cross_attention_dim=WIDTH, time_cond_proj_dim=32),
        scheduler=scheduler,
    )


def sdxl_pag() -> Any:
    return recast(sdxl(), "StableDiffusionXLPAGPipeline", add_watermarker=False, pag_applied_layers="mid")


def sd3_pag() -> Any:
    return recast(sd3(layers=2), "StableDiffusion3PAGPipeline", without=("image_encoder", "feature_extractor"))


def deepfloyd() -> Any:
    from diffusers import DDPMScheduler, IFPipeline, UNet2DConditionModel

    denoiser = UNet2DConditionModel(
        sample_size=SIDE,
        layers_per_block=1,
        block_out_channels=(16, 32),
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        in_channels=3,
        out_channels=6,
        cross_attention_dim=WIDTH,
        encoder_hid_dim=WIDTH,
        attention_head_dim=8,
        addition_embed_type="text",
        addition_embed_type_num_heads=2,
        cross_attention_norm="group_norm",
        resnet_time_scale_shift="scale_shift",
        act_fn="gelu",
        norm_num_groups=4,
    )
    return IFPipeline(
        tokenizer=t5_tokenizer(),
        text_encoder=t5(),
        unet=denoiser,
        scheduler=DDPMScheduler(variance_type="learned_range", thresholding=True),
        safety_checker=None,
        feature_extractor=None,
        watermarker=None,
        requires_safety_checker=False,
    )


def dreamlite(name: str = "DreamLitePipeline") -> Any:
    import diffusers

    small = diffusers.AutoencoderTiny(
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1),
    )
    denoiser = diffusers.DreamLiteUNetModel(
        block_out_channels=(16, 32, 32),
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        attention_head_dim=8,
        norm_num_groups=4,
        in_channels=4,
        out_channels=4,
        transformer_layers_per_block=1,
    )
    return getattr(diffusers, name)(
        text_encoder=qwen3_vl(),
        tokenizer=byte_tokenizer(),
        processor=processor(),
        vae=small,
        unet=denoiser,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
    )


def _glm_tokenizer() -> Any:
    """ChatGLM's class around a SentencePiece model of letters."""
    from io import BytesIO
    from tempfile import TemporaryDirectory

    from diffusers.pipelines.kolors.tokenizer import ChatGLMTokenizer
    from sentencepiece import SentencePieceTrainer

    model = BytesIO()
    letters = " ".join("abcdefghijklmnopqrstuvwxyz0123456789.,")
    SentencePieceTrainer.train(
        sentence_iterator=iter([letters] * 4), model_writer=model, vocab_size=50, hard_vocab_limit=False, minloglevel=2
    )
    folder = TemporaryDirectory()
    (Path(folder.name) / "tokenizer.model").write_bytes(model.getvalue())
    made = ChatGLMTokenizer(f"{folder.name}/tokenizer.model")
    made.folder = folder  # there as long as the tokenizer, which copies the file when it is saved
    return made


def kolors(name: str = "KolorsPipeline") -> Any:
    import diffusers
    from diffusers.pipelines.kolors.text_encoder import ChatGLMConfig, ChatGLMModel

    config = ChatGLMConfig(
        num_layers=2,
        padded_vocab_size=80,
        hidden_size=WIDTH,
        ffn_hidden_size=WIDTH,
        kv_channels=8,
        num_attention_heads=4,
        seq_length=256,
        add_qkv_bias=True,
        original_rope=True,
    )
    denoiser = unet(
        cross_attention_dim=WIDTH,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + WIDTH,
        use_linear_projection=True,
    )
    encoder = ChatGLMModel(config).eval()
    for weights in encoder.parameters():  # which it leaves as memory was
        torch.nn.init.normal_(weights, std=0.1)
    return getattr(diffusers, name)(
        vae=vae(),
        text_encoder=encoder,
        tokenizer=_glm_tokenizer(),
        unet=denoiser,
        scheduler=diffusers.EulerDiscreteScheduler(),
    )
