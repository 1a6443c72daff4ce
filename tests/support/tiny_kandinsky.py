"""Tiny pipelines of Kandinsky, Würstchen and Stable Cascade: a prior draws what a decoder makes pixels of."""

from typing import Any

from tests.support.tiny_language import byte_tokenizer
from tests.support.tiny_parts import SIDE, WIDTH, clip, clip_tokenizer, movq, t5, t5_tokenizer


def _vision() -> Any:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    config = CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        projection_dim=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=4,
        image_size=32,
        patch_size=16,
    )
    return CLIPVisionModelWithProjection(config).eval()


def _prior() -> dict[str, Any]:
    from diffusers import PriorTransformer, UnCLIPScheduler
    from transformers import CLIPImageProcessor

    prior = PriorTransformer(num_attention_heads=2, attention_head_dim=8, num_layers=1, embedding_dim=WIDTH)
    return {
        "prior_prior": prior,
        "prior_image_encoder": _vision(),
        "prior_text_encoder": clip(projection=True),
        "prior_tokenizer": clip_tokenizer(),
        "prior_scheduler": UnCLIPScheduler(
            variance_type="fixed_small_log", prediction_type="sample", clip_sample=True, clip_sample_range=10.0
        ),
        "prior_image_processor": CLIPImageProcessor(size=32, crop_size=32),
    }


def _kandinsky_unet(kind: str, **settings: Any) -> Any:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        in_channels=4,
        out_channels=8,
        addition_embed_type=kind,
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        encoder_hid_dim=WIDTH,
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        resnet_time_scale_shift="scale_shift",
        sample_size=SIDE // 2,
        **settings,
    )


def _ddpm() -> Any:
    from diffusers import DDIMScheduler

    return DDIMScheduler(clip_sample=False, set_alpha_to_one=False, steps_offset=1, prediction_type="epsilon")


def kandinsky() -> Any:
    from diffusers import KandinskyCombinedPipeline
    from diffusers.pipelines.kandinsky.text_encoder import MCLIPConfig, MultilingualCLIP

    config = MCLIPConfig(
        transformerDimSize=WIDTH,
        imageDimSize=WIDTH,
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_attention_heads=4,
        num_hidden_layers=1,
        vocab_size=300,
        max_position_embeddings=130,
    )
    denoiser = _kandinsky_unet("text_image", encoder_hid_dim_type="text_image_proj")
    return KandinskyCombinedPipeline(
        text_encoder=MultilingualCLIP(config).eval(),
        tokenizer=byte_tokenizer(77, begins=True),
        unet=denoiser,
        scheduler=_ddpm(),
        movq=movq(),
        **_prior(),
    )


def kandinsky22() -> Any:
    from diffusers import KandinskyV22CombinedPipeline

    denoiser = _kandinsky_unet("image", encoder_hid_dim_type="image_proj")
    return KandinskyV22CombinedPipeline(unet=denoiser, scheduler=_ddpm(), movq=movq(), **_prior())


def kandinsky3() -> Any:
    from diffusers import DDPMScheduler, Kandinsky3Pipeline, Kandinsky3UNet

    denoiser = Kandinsky3UNet(
        time_embedding_dim=16,
        groups=2,
        attention_head_dim=4,
        layers_per_block=3,
        block_out_channels=(32, 64),
        cross_attention_dim=4,
        encoder_hid_dim=WIDTH,
    )
    scheduler = DDPMScheduler(beta_schedule="squaredcos_cap_v2", variance_type="fixed_small")
    return Kandinsky3Pipeline(
        tokenizer=t5_tokenizer(), text_encoder=t5(), unet=denoiser, scheduler=scheduler, movq=movq(blocks=4)
    )


def _paella() -> Any:
    from diffusers.pipelines.deprecated.wuerstchen import PaellaVQModel

    return PaellaVQModel(levels=2, bottleneck_blocks=1, embed_dim=8, num_vq_embeddings=16)


def wuerstchen() -> Any:
    from diffusers import DDPMWuerstchenScheduler, WuerstchenCombinedPipeline
    from diffusers.pipelines.deprecated.wuerstchen import WuerstchenDiffNeXt, WuerstchenPrior

    prior = WuerstchenPrior(c_in=2, c=8, depth=1, c_cond=WIDTH, c_r=8, nhead=2)
    decoder = WuerstchenDiffNeXt(
        c_cond=WIDTH,
        c_hidden=[32],
        nhead=[-1],
        blocks=[1],
        level_config=["CT"],
        inject_effnet=[False],
        effnet_embd=2,
        clip_embd=WIDTH,
    )
    return WuerstchenCombinedPipeline(
        tokenizer=clip_tokenizer(),
        text_encoder=clip(),
        decoder=decoder,
        scheduler=DDPMWuerstchenScheduler(),
        vqgan=_paella(),
        prior_tokenizer=clip_tokenizer(),
        prior_text_encoder=clip(),
        prior_prior=prior,
        prior_scheduler=DDPMWuerstchenScheduler(),
    )


def cascade() -> Any:
    from diffusers import DDPMWuerstchenScheduler, StableCascadeCombinedPipeline, StableCascadeUNet

    usual = {"conditioning_dim": 16, "block_out_channels": (16,), "num_attention_heads": (2,)}
    layers = {"down_num_layers_per_block": (1,), "up_num_layers_per_block": (1,), "switch_level": None}
    repeats = {"down_blocks_repeat_mappers": (1,), "up_blocks_repeat_mappers": (1,), "clip_seq": 1, "dropout": (0.0,)}
    types = (("SDCascadeResBlock", "SDCascadeTimestepBlock", "SDCascadeAttnBlock"),)
    prior = StableCascadeUNet(
        block_types_per_layer=types,
        clip_text_in_channels=WIDTH,
        clip_text_pooled_in_channels=WIDTH,
        clip_image_in_channels=WIDTH,
        **{**usual, **layers, **repeats},
    )
    decoder = StableCascadeUNet(
        in_channels=4,
        out_channels=4,
        patch_size=1,
        block_types_per_layer=types,
        clip_text_pooled_in_channels=WIDTH,
        effnet_in_channels=16,
        pixel_mapper_in_channels=3,
        timestep_conditioning_type=("sca",),
        **{**usual, **layers, **repeats},
    )
    return StableCascadeCombinedPipeline(
        tokenizer=clip_tokenizer(),
        text_encoder=clip(projection=True),
        decoder=decoder,
        scheduler=DDPMWuerstchenScheduler(),
        vqgan=_paella(),
        prior_prior=prior,
        prior_text_encoder=clip(projection=True),
        prior_tokenizer=clip_tokenizer(),
        prior_scheduler=DDPMWuerstchenScheduler(),
    )
