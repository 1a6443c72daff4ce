"""Tiny pipelines of the classes that read prompts with a language model and draw by flow matching."""

from typing import Any

from tests.support.tiny_language import byte_tokenizer, decoder, mistral3, processor, qwen2_vl
from tests.support.tiny_parts import WIDTH, clip, clip_tokenizer, flux2_vae, qwen_vae, t5, t5_tokenizer, vae
from tests.support.tiny_transformers import HEADS, SHIFTED, flow

PACKED = {"num_layers": 1, "num_single_layers": 1, "attention_head_dim": 16, "num_attention_heads": 2}
ROPE = {"axes_dims_rope": (4, 4, 8)}
FLUX2_ROPE = {"axes_dims_rope": (4, 4, 4, 4)}


def flux2(name: str = "Flux2Pipeline") -> Any:
    import diffusers

    klein = name == "Flux2KleinPipeline"
    transformer = diffusers.Flux2Transformer2DModel(
        in_channels=16,
        joint_attention_dim=3 * WIDTH,
        timestep_guidance_channels=16,
        guidance_embeds=not klein,
        **PACKED,
        **FLUX2_ROPE,
    )
    encoder = decoder("Qwen3ForCausalLM", layers=28) if klein else mistral3()
    return getattr(diffusers, name)(
        scheduler=flow(), vae=flux2_vae(), text_encoder=encoder, tokenizer=byte_tokenizer(), transformer=transformer
    )


def z_image(name: str = "ZImagePipeline", **parts: Any) -> Any:
    import diffusers

    transformer = diffusers.ZImageTransformer2DModel(
        in_channels=4,
        dim=32,
        n_layers=1,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=WIDTH,
        axes_dims=[4, 6, 6],
        axes_lens=[1024, 64, 64],
        siglip_feat_dim=16 if parts else None,
    )
    return getattr(diffusers, name)(
        scheduler=flow(use_dynamic_shifting=True),
        vae=vae(**SHIFTED),
        text_encoder=decoder("Qwen3Model"),
        tokenizer=byte_tokenizer(),
        transformer=transformer,
        **parts,
    )


def z_image_omni() -> Any:
    from transformers import Siglip2ImageProcessor, Siglip2VisionConfig, Siglip2VisionModel

    config = Siglip2VisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, patch_size=16, num_patches=16
    )
    return z_image(
        "ZImageOmniPipeline", siglip=Siglip2VisionModel(config).eval(), siglip_processor=Siglip2ImageProcessor()
    )


def ovis() -> Any:
    from diffusers import OvisImagePipeline, OvisImageTransformer2DModel

    transformer = OvisImageTransformer2DModel(
        in_channels=16, out_channels=16, joint_attention_dim=WIDTH, **PACKED, **ROPE
    )
    return OvisImagePipeline(
        scheduler=flow(use_dynamic_shifting=True),
        vae=vae(**SHIFTED),
        text_encoder=decoder("Qwen3Model"),
        tokenizer=byte_tokenizer(),
        transformer=transformer,
    )


def ernie() -> Any:
    from diffusers import ErnieImagePipeline, ErnieImageTransformer2DModel

    transformer = ErnieImageTransformer2DModel(
        hidden_size=32,
        num_attention_heads=2,
        num_layers=1,
        ffn_hidden_size=32,
        in_channels=16,
        out_channels=16,
        text_in_dim=WIDTH,
        rope_axes_dim=(4, 6, 6),
    )
    return ErnieImagePipeline(
        transformer=transformer,
        vae=flux2_vae(),
        text_encoder=mistral3(3, "Mistral3Model"),
        tokenizer=byte_tokenizer(),
        scheduler=flow(),
    )


def cogview4() -> Any:
    from diffusers import CogView4Pipeline, CogView4Transformer2DModel

    transformer = CogView4Transformer2DModel(
        **HEADS,
        in_channels=4,
        out_channels=4,
        text_embed_dim=WIDTH,
        time_embed_dim=8,
        condition_dim=4,
        sample_size=16,
        rope_axes_dim=(8, 8),
    )
    return CogView4Pipeline(
        tokenizer=byte_tokenizer(1024, begins=True),
        text_encoder=decoder("GlmModel", layers=3),
        vae=vae(**SHIFTED),
        transformer=transformer,
        scheduler=flow(use_dynamic_shifting=True, base_shift=0.25, max_shift=0.75),
    )


def hidream() -> Any:
    from diffusers import HiDreamImagePipeline, HiDreamImageTransformer2DModel

    transformer = HiDreamImageTransformer2DModel(
        patch_size=8,
        in_channels=4,
        out_channels=4,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=8,
        num_attention_heads=4,
        caption_channels=[WIDTH, WIDTH],
        text_emb_dim=2 * WIDTH,
        axes_dims_rope=(4, 2, 2),
        max_resolution=(32, 32),
        llama_layers=(0, 1),
    )
    return HiDreamImagePipeline(
        scheduler=flow(),
        vae=vae(blocks=1, **SHIFTED),
        text_encoder=clip(projection=True, places=128),
        tokenizer=clip_tokenizer(),
        text_encoder_2=clip(projection=True, places=128),
        tokenizer_2=clip_tokenizer(),
        text_encoder_3=t5(),
        tokenizer_3=t5_tokenizer(),
        text_encoder_4=decoder("LlamaForCausalLM"),
        tokenizer_4=byte_tokenizer(128),
        transformer=transformer,
    )


def hunyuan_image() -> Any:
    from diffusers import AutoencoderKLHunyuanImage, HunyuanImagePipeline, HunyuanImageTransformer2DModel
    from diffusers.guiders import AdaptiveProjectedMixGuidance
    from transformers import ByT5Tokenizer

    transformer = HunyuanImageTransformer2DModel(
        in_channels=4,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=8,
        num_layers=1,
        num_single_layers=1,
        num_refiner_layers=1,
        text_embed_dim=WIDTH,
        text_embed_2_dim=WIDTH,
        rope_axes_dim=(4, 4),
    )
    decodes = AutoencoderKLHunyuanImage(
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        block_out_channels=(32, 64, 64, 64),
        layers_per_block=1,
        spatial_compression_ratio=8,
        sample_size=32,
        scaling_factor=0.476986,
    )
    return HunyuanImagePipeline(
        scheduler=flow(shift=7.0),
        vae=decodes,
        text_encoder=qwen2_vl(),
        tokenizer=byte_tokenizer(1024),
        text_encoder_2=t5(vocabulary=384),
        tokenizer_2=ByT5Tokenizer(),
        transformer=transformer,
        guider=AdaptiveProjectedMixGuidance(guidance_scale=3.5),
        ocr_guider=AdaptiveProjectedMixGuidance(guidance_scale=3.5),
    )


def fibo() -> Any:
    from diffusers import BriaFiboPipeline, BriaFiboTransformer2DModel

    transformer = BriaFiboTransformer2DModel(
        in_channels=4,
        joint_attention_dim=2 * WIDTH,
        text_encoder_dim=WIDTH,
        axes_dims_rope=[4, 6, 6],
        **PACKED,
    )
    decodes = qwen_vae(
        "AutoencoderKLWan",
        decoder_base_dim=8,
        is_residual=True,
        in_channels=12,
        out_channels=12,
        patch_size=2,
        scale_factor_spatial=16,
    )
    return BriaFiboPipeline(
        transformer=transformer,
        scheduler=flow(use_dynamic_shifting=True),
        vae=decodes,
        text_encoder=decoder("SmolLM3ForCausalLM", vocab_size=128_010),
        tokenizer=byte_tokenizer(),
    )


def kandinsky5() -> Any:
    from diffusers import Kandinsky5T2IPipeline, Kandinsky5Transformer3DModel

    transformer = Kandinsky5Transformer3DModel(
        in_visual_dim=4,
        out_visual_dim=4,
        in_text_dim=WIDTH,
        in_text_dim2=WIDTH,
        time_dim=16,
        model_dim=16,
        ff_dim=16,
        num_text_blocks=1,
        num_visual_blocks=1,
        axes_dims=(4, 6, 6),
    )
    return Kandinsky5T2IPipeline(
        transformer=transformer,
        vae=vae(blocks=4, **SHIFTED),
        text_encoder=qwen2_vl(),
        tokenizer=processor(),
        text_encoder_2=clip(),
        tokenizer_2=clip_tokenizer(),
        scheduler=flow(),
    )
