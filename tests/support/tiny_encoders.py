"""Encoders of each family with random weights, as small as their classes allow, in directories as transformers stores them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import Unigram, WordPiece
from tokenizers.pre_tokenizers import Metaspace, Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import (
    AlignConfig,
    AlignModel,
    AutoTokenizer,
    BertConfig,
    BertModel,
    DINOv3ViTConfig,
    DINOv3ViTModel,
    MetaClip2Config,
    MetaClip2Model,
    ModernBertConfig,
    ModernBertModel,
    PreTrainedTokenizerFast,
    Siglip2Config,
    Siglip2Model,
    SiglipConfig,
    SiglipModel,
)

from pipeline.storage.weights import REPOSITORY

WORDS = (
    "a",
    "picture",
    "of",
    "knife",
    "knives",
    "two",
    "kittens",
    "on",
    "red",
    "background",
    "house",
    "safe",
    "unsafe",
    "in",
)
TOWER = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
SIDE, LENGTH = 32, 24


def siglip(folder: Path) -> Path:
    """Bidirectional text, read at its last place; no class token."""
    text = {**TOWER, "vocab_size": 64, "max_position_embeddings": LENGTH, "projection_size": 32}
    vision = {**TOWER, "image_size": SIDE, "patch_size": 8}
    model = SiglipModel(SiglipConfig(text_config=text, vision_config=vision))
    return _saved(folder, model, _sentence_pieces(), mean=0.5)


def siglip2(folder: Path) -> Path:
    """Pictures as rows of patches."""
    text = {**TOWER, "vocab_size": 64, "max_position_embeddings": LENGTH, "projection_size": 32}
    vision = {**TOWER, "num_patches": 16, "patch_size": 8}
    model = Siglip2Model(Siglip2Config(text_config=text, vision_config=vision))
    return _saved(folder, model, _sentence_pieces(), mean=0.5)


def meta_clip(folder: Path) -> Path:
    """CLIP's towers with another tokenizer and end mark."""
    text = {**TOWER, "vocab_size": 64, "max_position_embeddings": LENGTH, "eos_token_id": 1, "projection_dim": 24}
    vision = {**TOWER, "image_size": SIDE, "patch_size": 8, "projection_dim": 24}
    model = MetaClip2Model(MetaClip2Config(text_config=text, vision_config=vision, projection_dim=24))
    return _saved(folder, model, _sentence_pieces())


def align(folder: Path) -> Path:
    """A convolutional picture tower beside a BERT."""
    text = {**TOWER, "vocab_size": 64, "max_position_embeddings": LENGTH}
    vision = {
        "image_size": SIDE,
        "width_coefficient": 0.25,
        "depth_coefficient": 0.2,
        "depth_divisor": 8,
        "hidden_dim": 40,
    }
    model = AlignModel(AlignConfig(text_config=text, vision_config=vision, projection_dim=80))
    return _saved(folder, model, _word_pieces())


def dino(folder: Path) -> Path:
    """DINOv3: a class token and registers before the patches."""
    config = DINOv3ViTConfig(**TOWER, image_size=SIDE, patch_size=8, num_register_tokens=2)
    return _saved(folder, DINOv3ViTModel(config))


def modern_bert(folder: Path) -> Path:
    """A text encoder without a pooler."""
    config = ModernBertConfig(**{**TOWER, "hidden_size": 24}, vocab_size=64, pad_token_id=0, max_position_embeddings=64)
    return _saved(folder, ModernBertModel(config), _word_pieces())


def bert(folder: Path) -> Path:
    """An encoder that is no image-text model at all."""
    return _saved(folder, BertModel(BertConfig(**TOWER, vocab_size=64)), _word_pieces())


def clip(folder: Path) -> Path:
    """The embedded CLIP where it stands."""
    del folder
    return REPOSITORY / "assets" / "world" / "clip"


ENCODERS: Mapping[str, Callable[[Path], Path]] = {
    "clip": clip,
    "metaclip_2": meta_clip,
    "siglip": siglip,
    "siglip2": siglip2,
    "align": align,
}


def named(family: str, folder: Path) -> str:
    """What `--clip` is given for a family, `pair` included."""
    if family == "pair":
        return f"{dino(folder / 'image')}+{modern_bert(folder / 'text')}"
    return str(ENCODERS[family](folder / family))


def _saved(folder: Path, model: Any, tokenizer: Any = None, mean: float | None = None) -> Path:
    torch.manual_seed(0)
    for value in model.parameters():  # some classes begin with zeros, which would hide what is not read
        torch.nn.init.normal_(value, std=0.1)
    model.eval().save_pretrained(folder)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
        AutoTokenizer.from_pretrained(folder)
    if mean is not None:
        (folder / "preprocessor_config.json").write_text(
            f'{{"image_mean": [{mean}, {mean}, {mean}], "image_std": [0.5, 0.5, 0.5]}}'
        )
    return folder


def _sentence_pieces() -> PreTrainedTokenizerFast:
    pieces = ["<unk>", "</s>", *(f"▁{word}" for word in WORDS), *"abcdefghiklmnoprstuvwy"]
    tokenizer = Tokenizer(Unigram([(piece, -float(place)) for place, piece in enumerate(pieces)], unk_id=0))
    tokenizer.pre_tokenizer = Metaspace()
    tokenizer.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="</s>", pad_token="</s>")


def _word_pieces() -> PreTrainedTokenizerFast:
    vocabulary = {piece: place for place, piece in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    marks = [("[CLS]", 2), ("[SEP]", 3)]
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=marks)
    special = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)
