"""Published guards and the families that they are made of, with random weights, in their own layouts."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from stages.label.picture_question import without_films
from tests.support.tiny_models import CHAT, byte_tokenizer

SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
TEXT = {**SMALL, "num_key_value_heads": 2, "max_position_embeddings": 8192, "pad_token_id": 0}
EYES = {**SMALL, "image_size": 32, "patch_size": 8}
QWEN_CHAT = CHAT.replace("<image>", "<|vision_start|><|image_pad|><|vision_end|>")


def llava_onevision(folder: Path) -> Path:
    """SigLIP's tower, Qwen 2, pictures in tiles: LlavaGuard 1.2 is one."""
    from transformers import LlavaOnevisionConfig, LlavaOnevisionForConditionalGeneration, LlavaOnevisionProcessor
    from transformers.models.llava_onevision.image_processing_pil_llava_onevision import LlavaOnevisionImageProcessorPil

    tokenizer = byte_tokenizer("<image>", "<video>")
    config = LlavaOnevisionConfig(
        vision_config={"model_type": "siglip_vision_model", **EYES, "vision_use_head": False},
        text_config={"model_type": "qwen2", **TEXT, "vocab_size": len(tokenizer)},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=[[32, 32], [32, 64], [64, 32]],
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
    )
    torch.manual_seed(0)
    LlavaOnevisionForConditionalGeneration(config).save_pretrained(folder)
    pictures = LlavaOnevisionImageProcessorPil(
        size={"height": 32, "width": 32}, image_grid_pinpoints=config.image_grid_pinpoints
    )
    without_films(LlavaOnevisionProcessor)(
        image_processor=pictures,
        tokenizer=tokenizer,
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=CHAT,
    ).save_pretrained(folder)
    return folder


def _qwen(folder: Path, version: str, config: Any) -> Path:
    """A Qwen-VL of this version, whose configuration `config` makes of a tokenizer."""
    import transformers
    from transformers import Qwen2VLImageProcessorPil

    tokenizer = byte_tokenizer("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    tokenizer.image_token, tokenizer.video_token = "<|image_pad|>", "<|video_pad|>"
    settings = config(tokenizer)
    torch.manual_seed(0)
    getattr(transformers, f"{version}ForConditionalGeneration")(settings).save_pretrained(folder)
    pictures = Qwen2VLImageProcessorPil(
        min_pixels=28 * 28, max_pixels=56 * 56, patch_size=settings.vision_config.patch_size
    )
    without_films(getattr(transformers, f"{version}Processor"))(
        pictures, tokenizer, None, chat_template=QWEN_CHAT
    ).save_pretrained(folder)
    return folder


def _qwen_settings(tokenizer: Any, vision: dict[str, Any]) -> dict[str, Any]:
    def token(name: str) -> int:
        return int(tokenizer.convert_tokens_to_ids(f"<|{name}|>"))

    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e4}
    return {
        "text_config": {**TEXT, "vocab_size": len(tokenizer), "head_dim": 16, "rope_parameters": rope},
        "vision_config": {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 32, **vision},
        "image_token_id": token("image_pad"),
        "video_token_id": token("video_pad"),
        "vision_start_token_id": token("vision_start"),
        "vision_end_token_id": token("vision_end"),
    }  # fmt: skip


def qwen2_5_vl(folder: Path) -> Path:
    """Qwen 2.5 VL."""
    from transformers import Qwen2_5_VLConfig

    return _qwen(
        folder, "Qwen2_5_VL", lambda tokenizer: Qwen2_5_VLConfig(**_qwen_settings(tokenizer, {"patch_size": 14}))
    )


def qwen3_vl(folder: Path) -> Path:
    """Qwen 3 VL, whose eyes feed several layers."""
    from transformers import Qwen3VLConfig

    vision = {"patch_size": 16, "deepstack_visual_indexes": [0]}
    return _qwen(folder, "Qwen3VL", lambda tokenizer: Qwen3VLConfig(**_qwen_settings(tokenizer, vision)))


def mllama(folder: Path) -> Path:
    """Llama 3.2 Vision, pictures by cross-attention: Llama Guard 3 Vision is one."""
    from transformers import MllamaConfig, MllamaForConditionalGeneration, MllamaProcessor
    from transformers.models.mllama.image_processing_pil_mllama import MllamaImageProcessorPil

    tokenizer = byte_tokenizer("<|image|>")
    vision = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_global_layers": 1, "attention_heads": 2,
        "image_size": 32, "patch_size": 8, "max_num_tiles": 2, "intermediate_layers_indices": [0], "vision_output_dim": 64,
        "supported_aspect_ratios": [[1, 1], [1, 2], [2, 1]],
    }  # fmt: skip
    text = {**TEXT, "vocab_size": len(tokenizer), "cross_attention_layers": [1], "num_hidden_layers": 3}
    config = MllamaConfig(
        vision_config=vision, text_config=text, image_token_index=tokenizer.convert_tokens_to_ids("<|image|>")
    )
    torch.manual_seed(0)
    model = MllamaForConditionalGeneration(config)
    for name, value in model.named_parameters():
        if "attn_gate" in name or "mlp_gate" in name or name.endswith("gate"):
            torch.nn.init.ones_(value)  # zeros in a new one: what is seen would not matter
    model.save_pretrained(folder)
    pictures = MllamaImageProcessorPil(size={"height": 32, "width": 32}, max_image_tiles=2)
    MllamaProcessor(pictures, tokenizer, chat_template=CHAT.replace("<image>", "<|image|>")).save_pretrained(folder)
    return folder


def shield_gemma(folder: Path) -> Path:
    """ShieldGemma 2: Gemma 3 that says Yes or No to a policy."""
    from transformers import ShieldGemma2Config, ShieldGemma2ForImageClassification, ShieldGemma2Processor
    from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil

    names = ("<start_of_image>", "<end_of_image>", "<image_soft_token>")
    tokenizer = byte_tokenizer(*names)
    tokenizer.boi_token, tokenizer.eoi_token, tokenizer.image_token = names
    tokenizer.boi_token_id, tokenizer.eoi_token_id, tokenizer.image_token_id = tokenizer.convert_tokens_to_ids(
        list(names)
    )
    config = ShieldGemma2Config(
        text_config={**TEXT, "head_dim": 16, "vocab_size": len(tokenizer), "sliding_window": 512},
        vision_config={**EYES, "vision_use_head": False},
        mm_tokens_per_image=4,
        boi_token_index=tokenizer.boi_token_id,
        eoi_token_index=tokenizer.eoi_token_id,
        image_token_index=tokenizer.image_token_id,
    )
    config.yes_token_index, config.no_token_index = tokenizer.convert_tokens_to_ids(["Y", "N"])
    torch.manual_seed(0)
    model = ShieldGemma2ForImageClassification(config)
    for name, value in model.named_parameters():
        if "mm_input_projection" in name:
            torch.nn.init.normal_(value)  # zeros in a new one: what is seen would not matter
    model.save_pretrained(folder)
    pictures = Gemma3ImageProcessorPil(size={"height": 32, "width": 32})
    chat = CHAT.replace("<image>", names[0])
    tokenizer.init_kwargs |= dict(zip(("boi_token", "eoi_token", "image_token"), names, strict=True))
    ShieldGemma2Processor(pictures, tokenizer, chat_template=chat, image_seq_length=4).save_pretrained(folder)
    return folder


def falconsai(folder: Path) -> Path:
    """A ViT with two classes."""
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil

    torch.manual_seed(0)
    ViTForImageClassification(ViTConfig(**EYES, id2label={0: "normal", 1: "nsfw"})).save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def q16(folder: Path) -> Path:
    """A CLIP with two soft prompts beside it."""
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    torch.manual_seed(0)
    CLIPModel(
        CLIPConfig(vision_config=EYES, text_config={**SMALL, "vocab_size": 64, "projection_dim": 16}, projection_dim=16)
    ).save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    np.save(folder / "prompts.npy", np.random.default_rng(0).normal(size=(2, 16)).astype(np.float32))
    return folder
