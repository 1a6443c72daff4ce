"""A small LLaVA (Liu et al. 2024) in transformers' own classes: the embedded CLIP's picture tower, and a Llama made here."""

from pathlib import Path

import torch
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionModel,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from classifiers.perspective.pretraining.tokenizer import ANSWER, IMAGE
from stages.label.device import quieten

WIDTH, LAYERS, HEADS, INNER = 128, 4, 4, 320  # 0.9 M parameters; 5 M were allowed, but steps count for more here
LENGTH = 512  # tokens: 65 of the picture, ~200 of a taxonomy with its policies

# The picture stands first, so that each name of a list can look back at it and the answer need only ask the names.
CHAT = (
    "<s>{% for message in messages %}{% for part in message.content if part.type == 'image' %}<image>{% endfor %}"
    "{% for part in message.content if part.type == 'text' %} {{ part.text }}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %} " + ANSWER + "{% endif %}"
)


def build(clip: Path, words: PreTrainedTokenizerFast) -> LlavaForConditionalGeneration:
    """Random but for the picture tower. All patches' last states and the class token go to the projector: CLIP's training put
    the pictograms' names into those (docs/results/world.md), not into the layer before, which LLaVA-1.5 takes.
    """
    tower = picture_tower(clip)
    text = LlamaConfig(
        vocab_size=len(words),
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=LENGTH,
        pad_token_id=words.pad_token_id,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        tie_word_embeddings=False,
    )
    tower.config.name_or_path = ""  # a path of this machine, which transformers would write into the model
    config = LlavaConfig(
        vision_config=tower.config,
        text_config=text,
        image_token_index=words.convert_tokens_to_ids(IMAGE),
        image_seq_length=(tower.config.image_size // tower.config.patch_size) ** 2 + 1,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    )
    model = LlavaForConditionalGeneration(config).float()
    model.model.vision_tower.load_state_dict(tower.state_dict())
    model.model.vision_tower.requires_grad_(False)
    _look_for_the_like(model)
    return model


@torch.no_grad()
def _look_for_the_like(model: LlavaForConditionalGeneration) -> None:
    """Queries and keys begin as the same rotation, so that a word attends to what is like it: a patch that shows it.

    Trockman & Kolter 2023, "Mimetic Initialization of Self-Attention Layers", section 4: W_Q W_K^T near the identity.
    """
    for layer in model.model.language_model.layers:
        rotation = torch.nn.init.orthogonal_(torch.empty(WIDTH, WIDTH))
        layer.self_attn.q_proj.weight.copy_(rotation)
        layer.self_attn.k_proj.weight.copy_(rotation)


def picture_tower(clip: Path) -> CLIPVisionModel:
    """The picture tower of a CLIP's directory, float32."""
    quieten()
    return CLIPVisionModel.from_pretrained(clip, local_files_only=True).float().eval()


def processor(clip: Path, words: PreTrainedTokenizerFast) -> LlavaProcessor:
    """Pictures as the CLIP wants them, words, and the chat template."""
    pictures = CLIPImageProcessorPil.from_pretrained(clip, local_files_only=True)
    return LlavaProcessor(
        image_processor=pictures,
        tokenizer=words,
        patch_size=picture_tower(clip).config.patch_size,
        vision_feature_select_strategy="full",
        num_additional_image_tokens=1,
        chat_template=CHAT,
        image_token=IMAGE,
    )
