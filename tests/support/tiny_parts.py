"""Tokenizers, text encoders and autoencoders with random weights and a few thousand parameters, in their real classes."""

from typing import Any

SIDE = 32  # pixels of a side that every tiny pipeline draws by default
WIDTH = 32  # of the text encoders and of the denoisers' attention


def clip_tokenizer() -> Any:
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    letters = sorted(ByteLevel.alphabet())
    pieces = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)


def clip(projection: bool = False, places: int = 77) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=514,
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        projection_dim=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=places,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=513,
    )
    return (CLIPTextModelWithProjection if projection else CLIPTextModel)(config).eval()


def t5_tokenizer() -> Any:
    from transformers import T5Tokenizer

    letters = "▁abcdefghijklmnopqrstuvwxyz0123456789.,"
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((letter, -2.0) for letter in letters)]
    return T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=512)


def t5(vocabulary: int = 64) -> Any:
    from transformers import T5Config, T5EncoderModel

    config = T5Config(vocab_size=vocabulary, d_model=WIDTH, d_kv=8, d_ff=WIDTH, num_layers=1, num_heads=4)
    return T5EncoderModel(config).eval()


def vae(channels: int = 4, blocks: int = 2, **settings: Any) -> Any:
    """Shrinks by 2 to the number of its blocks less one."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8, 16, 16, 16)[:blocks],
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks,
        latent_channels=channels,
        sample_size=SIDE,
        **settings,
    )


def flux2_vae() -> Any:
    """FLUX.2's, which normalises patches of 2 x 2 latent cells; shrinks by 2."""
    from diffusers import AutoencoderKLFlux2

    return AutoencoderKLFlux2(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=SIDE,
    )


def qwen_vae(name: str = "AutoencoderKLQwenImage", **settings: Any) -> Any:
    """A video autoencoder as Qwen-Image and Cosmos decode single pictures with; shrinks by 8."""
    import diffusers

    usual = {"base_dim": 8, "z_dim": 4, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1}
    mean = {"latents_mean": [0.0] * 4, "latents_std": [1.0] * 4}
    return getattr(diffusers, name)(**usual | mean | settings)


def dc_vae() -> Any:
    """Sana's deep-compression autoencoder; shrinks by 4."""
    from diffusers import AutoencoderDC

    return AutoencoderDC(
        latent_channels=4,
        attention_head_dim=2,
        encoder_block_types=("ResBlock", "EfficientViTBlock", "EfficientViTBlock"),
        decoder_block_types=("ResBlock", "EfficientViTBlock", "EfficientViTBlock"),
        encoder_block_out_channels=(8, 8, 16),
        decoder_block_out_channels=(8, 8, 16),
        encoder_qkv_multiscales=((), (5,), (5,)),
        decoder_qkv_multiscales=((), (5,), (5,)),
        encoder_layers_per_block=(1, 1, 1),
        decoder_layers_per_block=(1, 1, 1),
        downsample_block_type="conv",
        upsample_block_type="interpolate",
        scaling_factor=0.41407,
    )


def movq(blocks: int = 2) -> Any:
    """Kandinsky's; shrinks by 2 to the number of its blocks less one."""
    from diffusers import VQModel

    return VQModel(
        block_out_channels=(32,) * blocks,
        down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("AttnUpDecoderBlock2D",) * blocks,
        latent_channels=4,
        norm_num_groups=32,
        num_vq_embeddings=16,
        vq_embed_dim=4,
        norm_type="spatial",
    )
