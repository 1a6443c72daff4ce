"""Tiny pipelines with a tokeniser of pictures, or none."""

from typing import Any

from tests.support.tiny_language import byte_tokenizer, decoder
from tests.support.tiny_parts import SIDE, WIDTH, clip, clip_tokenizer, vae
from tests.support.tiny_transformers import LATENT, SHIFTED, flow


def prx(name: str = "PRXPipeline") -> Any:
    import diffusers
    from transformers import T5GemmaConfig, T5GemmaEncoderModel

    pixels = name == "PRXPixelPipeline"
    transformer = diffusers.PRXTransformer2DModel(
        in_channels=3 if pixels else 4,
        patch_size=4 if pixels else 2,
        context_in_dim=WIDTH,
        hidden_size=16,
        num_heads=2,
        depth=1,
        axes_dim=[4, 4],
        bottleneck_size=8 if pixels else None,
    )
    side = {"vocab_size": 300, "hidden_size": WIDTH, "intermediate_size": WIDTH, "num_hidden_layers": 1}
    side |= {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 512}
    config = T5GemmaConfig(encoder=side, decoder=side, is_encoder_decoder=False, vocab_size=300)
    parts = {"default_sample_size": SIDE} | ({} if pixels else {"vae": vae(**SHIFTED)})
    encoder = decoder("Qwen3Model") if pixels else T5GemmaEncoderModel(config).eval()
    return getattr(diffusers, name)(
        transformer=transformer, scheduler=flow(), text_encoder=encoder, tokenizer=byte_tokenizer(256), **parts
    )


def amused() -> Any:
    from diffusers import AmusedPipeline, AmusedScheduler, UVit2DModel, VQModel
    from transformers import CLIPTextModelWithProjection

    transformer = UVit2DModel(
        hidden_size=8,
        cond_embed_dim=WIDTH,
        micro_cond_encode_dim=2,
        micro_cond_embed_dim=10,
        encoder_hidden_size=WIDTH,
        vocab_size=32,
        codebook_size=16,
        in_channels=8,
        block_out_channels=8,
        num_res_blocks=1,
        block_num_heads=1,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        downsample=True,
        upsample=True,
        sample_size=LATENT,
    )
    codes = VQModel(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=8,
        norm_num_groups=2,
        num_vq_embeddings=16,
        layers_per_block=1,
        mid_block_add_attention=False,
        lookup_from_codebook=True,
    )
    encoder: CLIPTextModelWithProjection = clip(projection=True)
    return AmusedPipeline(
        vqvae=codes,
        tokenizer=clip_tokenizer(),
        text_encoder=encoder,
        transformer=transformer,
        scheduler=AmusedScheduler(mask_token_id=31),
    )
