"""Tiny pipelines of the classes that denoise with transformers and read prompts with T5, BERT, CLIP or Gemma."""

from typing import Any

from tests.support.tiny_language import byte_tokenizer, decoder
from tests.support.tiny_parts import SIDE, WIDTH, dc_vae, t5, t5_tokenizer, vae
from tests.support.tiny_pipelines import flux, pixart
from tests.support.tiny_unets import recast

LATENT = SIDE // 2  # cells of a side
HEADS = {"num_attention_heads": 4, "attention_head_dim": 8, "num_layers": 2}
SHIFTED = {"shift_factor": 0.06, "use_quant_conv": False, "use_post_quant_conv": False}


def flow(**settings: Any) -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler

    return FlowMatchEulerDiscreteScheduler(**settings)


def pixart_pag() -> Any:
    return recast(pixart(layers=2), "PixArtSigmaPAGPipeline")


def flux_kontext() -> Any:
    return recast(flux(), "FluxKontextPipeline")


def hunyuan_dit(name: str = "HunyuanDiTPipeline", **settings: Any) -> Any:
    import diffusers
    from transformers import BertConfig, BertModel

    transformer = diffusers.HunyuanDiT2DModel(
        **HEADS,
        sample_size=8,
        patch_size=2,
        in_channels=4,
        hidden_size=32,
        cross_attention_dim=WIDTH,
        cross_attention_dim_t5=WIDTH,
        pooled_projection_dim=16,
        activation_fn="gelu-approximate",
        text_len=77,
        text_len_t5=256,
    )
    bert = BertConfig(
        vocab_size=300, hidden_size=WIDTH, num_hidden_layers=1, num_attention_heads=4, intermediate_size=WIDTH
    )
    return getattr(diffusers, name)(
        vae=vae(blocks=4),
        text_encoder=BertModel(bert).eval(),
        tokenizer=byte_tokenizer(77),
        text_encoder_2=t5(),
        tokenizer_2=t5_tokenizer(),
        transformer=transformer,
        scheduler=diffusers.DDPMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
        **settings,
    )


def sana(name: str = "SanaPipeline", **settings: Any) -> Any:
    import diffusers

    sprint = name == "SanaSprintPipeline"
    transformer = diffusers.SanaTransformer2DModel(
        patch_size=1,
        in_channels=4,
        out_channels=4,
        num_layers=1,
        num_attention_heads=2,
        attention_head_dim=4,
        num_cross_attention_heads=2,
        cross_attention_head_dim=4,
        cross_attention_dim=8,
        caption_channels=WIDTH,
        sample_size=8,
        guidance_embeds=sprint,
        qk_norm="rms_norm_across_heads" if sprint else None,
    )
    return getattr(diffusers, name)(
        tokenizer=byte_tokenizer(),
        text_encoder=decoder("Gemma2Model", query_pre_attn_scalar=8),
        vae=dc_vae(),
        transformer=transformer,
        scheduler=diffusers.SCMScheduler() if sprint else flow(shift=7.0),
        **settings,
    )


def aura() -> Any:
    from diffusers import AuraFlowPipeline, AuraFlowTransformer2DModel
    from transformers import UMT5Config, UMT5EncoderModel

    config = UMT5Config(vocab_size=64, d_model=WIDTH, d_kv=8, d_ff=WIDTH, num_layers=1, num_heads=4)
    transformer = AuraFlowTransformer2DModel(
        sample_size=LATENT,
        patch_size=2,
        in_channels=4,
        num_mmdit_layers=1,
        num_single_dit_layers=1,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=WIDTH,
        caption_projection_dim=32,
        pos_embed_max_size=256,
    )
    return AuraFlowPipeline(
        tokenizer=t5_tokenizer(),
        text_encoder=UMT5EncoderModel(config).eval(),
        vae=vae(),
        transformer=transformer,
        scheduler=flow(),
    )


def lumina() -> Any:
    from diffusers import LuminaNextDiT2DModel, LuminaPipeline

    transformer = LuminaNextDiT2DModel(
        sample_size=8,
        patch_size=2,
        in_channels=4,
        hidden_size=24,
        num_layers=1,
        num_attention_heads=3,
        num_kv_heads=1,
        multiple_of=16,
        cross_attention_dim=WIDTH,
    )
    return LuminaPipeline(
        transformer=transformer,
        scheduler=flow(),
        vae=vae(blocks=4),
        text_encoder=decoder("GemmaModel"),
        tokenizer=byte_tokenizer(begins=True),
    )


def lumina2() -> Any:
    from diffusers import Lumina2Pipeline, Lumina2Transformer2DModel

    transformer = Lumina2Transformer2DModel(
        sample_size=8,
        patch_size=2,
        in_channels=4,
        hidden_size=24,
        num_layers=1,
        num_refiner_layers=1,
        num_attention_heads=2,
        num_kv_heads=1,
        multiple_of=16,
        axes_dim_rope=(4, 4, 4),
        axes_lens=(512, 64, 64),
        cap_feat_dim=WIDTH,
    )
    return Lumina2Pipeline(
        transformer=transformer,
        scheduler=flow(),
        vae=vae(blocks=4, **SHIFTED),
        text_encoder=decoder("Gemma2Model", layers=3, query_pre_attn_scalar=8),
        tokenizer=byte_tokenizer(begins=True),
    )


def chroma() -> Any:
    from diffusers import ChromaPipeline, ChromaTransformer2DModel

    transformer = ChromaTransformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        axes_dims_rope=(4, 4, 8),
        approximator_num_channels=8,
        approximator_hidden_dim=32,
        approximator_layers=1,
    )
    return ChromaPipeline(
        scheduler=flow(),
        vae=vae(**SHIFTED),
        text_encoder=t5(),
        tokenizer=t5_tokenizer(),
        transformer=transformer,
    )


def cogview3() -> Any:
    from diffusers import CogVideoXDPMScheduler, CogView3PlusPipeline, CogView3PlusTransformer2DModel

    transformer = CogView3PlusTransformer2DModel(
        **HEADS,
        in_channels=4,
        out_channels=4,
        text_embed_dim=WIDTH,
        time_embed_dim=8,
        condition_dim=2,
        pos_embed_max_size=16,
        sample_size=LATENT,
    )
    return CogView3PlusPipeline(
        tokenizer=t5_tokenizer(),
        text_encoder=t5(),
        vae=vae(),
        transformer=transformer,
        scheduler=CogVideoXDPMScheduler(),
    )


def bria() -> Any:
    from diffusers import BriaPipeline, BriaTransformer2DModel

    transformer = BriaTransformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        axes_dims_rope=[0, 4, 4],
    )
    return BriaPipeline(
        transformer=transformer,
        scheduler=flow(),
        vae=vae(**SHIFTED),
        text_encoder=t5(),
        tokenizer=t5_tokenizer(),
    )
