"""Tiny pipelines of the classes that read prompts with a Qwen and look at pictures beside them."""

from typing import Any

from tests.support.tiny_flows import PACKED, ROPE
from tests.support.tiny_language import byte_tokenizer, processor, qwen2_vl, qwen3_vl
from tests.support.tiny_parts import WIDTH, flux2_vae, qwen_vae, vae
from tests.support.tiny_transformers import SHIFTED, flow


def ideogram4() -> Any:
    from diffusers import Ideogram4Pipeline, Ideogram4Transformer2DModel
    from diffusers.pipelines.ideogram4.pipeline_ideogram4 import QWEN3_VL_ACTIVATION_LAYERS as TAPPED

    def transformer() -> Any:
        return Ideogram4Transformer2DModel(
            in_channels=16,
            num_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            intermediate_size=32,
            adaln_dim=16,
            llm_features_dim=len(TAPPED) * WIDTH,
            mrope_section=(4, 2, 2),
        )

    return Ideogram4Pipeline(
        scheduler=flow(),
        vae=flux2_vae(),
        text_encoder=qwen3_vl(max(TAPPED) + 1, "Qwen3VLModel"),
        tokenizer=byte_tokenizer(2048),
        transformer=transformer(),
        unconditional_transformer=transformer(),
    )


def krea2() -> Any:
    from diffusers import Krea2Pipeline, Krea2Transformer2DModel

    transformer = Krea2Transformer2DModel(
        in_channels=16,
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=32,
        timestep_embed_dim=16,
        text_hidden_dim=WIDTH,
        num_text_layers=2,
        text_num_attention_heads=2,
        text_num_key_value_heads=2,
        text_intermediate_size=32,
        num_layerwise_text_blocks=1,
        num_refiner_text_blocks=1,
        **ROPE,
    )
    return Krea2Pipeline(
        scheduler=flow(use_dynamic_shifting=True),
        vae=qwen_vae(),
        text_encoder=qwen3_vl(3, "Qwen3VLModel"),
        tokenizer=byte_tokenizer(),
        transformer=transformer,
        text_encoder_select_layers=(1, 2),
    )


def nucleus() -> Any:
    from diffusers import NucleusMoEImagePipeline, NucleusMoEImageTransformer2DModel

    transformer = NucleusMoEImageTransformer2DModel(
        in_channels=16,
        out_channels=4,
        num_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        moe_enabled=False,
        capacity_factors=[8.0] * 2,
        **ROPE,
    )
    return NucleusMoEImagePipeline(
        transformer=transformer,
        scheduler=flow(use_dynamic_shifting=True),
        vae=qwen_vae(),
        text_encoder=qwen3_vl(9),
        processor=processor(),
    )


def qwen_image() -> Any:
    from diffusers import QwenImagePipeline, QwenImageTransformer2DModel

    transformer = QwenImageTransformer2DModel(
        in_channels=16,
        out_channels=4,
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        **ROPE,
    )
    return QwenImagePipeline(
        scheduler=flow(use_dynamic_shifting=True),
        vae=qwen_vae(),
        text_encoder=qwen2_vl(),
        tokenizer=byte_tokenizer(1024),
        transformer=transformer,
    )


def qwen_image21() -> Any:
    from diffusers import QwenImage21Pipeline, QwenImage21Transformer2DModel

    transformer = QwenImage21Transformer2DModel(
        in_channels=4,
        out_channels=4,
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        context_in_dim=WIDTH,
        **ROPE,
    )
    decodes = qwen_vae(
        "AutoencoderKLQwenImage21",
        decoder_base_dim=8,
        dim_mult=[1, 1, 1, 1, 1],
        temperal_downsample=[False, True, True, True],
    )
    return QwenImage21Pipeline(
        scheduler=flow(use_dynamic_shifting=True),
        vae=decodes,
        text_encoder=qwen3_vl(),
        processor=processor(),
        transformer=transformer,
    )


def longcat() -> Any:
    from diffusers import LongCatImagePipeline, LongCatImageTransformer2DModel

    transformer = LongCatImageTransformer2DModel(
        in_channels=64, joint_attention_dim=WIDTH, pooled_projection_dim=WIDTH, **PACKED, **ROPE
    )
    return LongCatImagePipeline(
        scheduler=flow(use_dynamic_shifting=True),
        vae=vae(channels=16, **SHIFTED),
        text_encoder=qwen2_vl(),
        tokenizer=byte_tokenizer(),
        text_processor=processor(),
        transformer=transformer,
    )


def fibo2() -> Any:
    from diffusers import BriaFibo2Pipeline, BriaFibo2Transformer2DModel

    transformer = BriaFibo2Transformer2DModel(
        in_channels=4,
        dim=32,
        n_layers=2,
        n_refiner_layers=1,
        n_heads=2,
        cap_feat_dim=3 * WIDTH,
        injection_layer_ids=(0, 0, 1, 1, 1),
        perceiver_num_layers=1,
        min_num_gist_tokens=8,
        max_num_gist_tokens=16,
        gist_step=8,
        axes_dims=(4, 6, 6),
    )
    return BriaFibo2Pipeline(
        transformer=transformer,
        scheduler=flow(),
        vae=flux2_vae(),
        text_encoder=qwen3_vl(36),
        processor=processor(),
    )
