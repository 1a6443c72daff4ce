"""Language models and their tokenizers with random weights, as today's pipelines read prompts with."""

from typing import Any

from tests.support.tiny_parts import WIDTH

CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}{{ part['text'] }}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ("<pad>", "<bos>", "<eos>", "<unk>", "<|im_start|>", "<|im_end|>", "<|image_pad|>", "<|video_pad|>")
VISION = ("<|vision_start|>", "<|vision_end|>")
VOCABULARY = 256 + len(SPECIAL) + len(VISION)


def byte_tokenizer(longest: int = 512, begins: bool = False) -> Any:
    """A token a byte, with the markers of chats and pictures; `begins` puts one before each text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    pieces = [*SPECIAL, *VISION, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    made = Tokenizer(models.BPE(vocab={piece: index for index, piece in enumerate(pieces)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    if begins:
        made.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        additional_special_tokens=[*SPECIAL[4:], *VISION],
        model_max_length=longest,
        chat_template=CHAT,
    )


def _text(layers: int, **settings: Any) -> dict[str, Any]:
    return {
        "vocab_size": VOCABULARY,
        "hidden_size": WIDTH,
        "intermediate_size": WIDTH,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    } | settings


def decoder(name: str, layers: int = 2, **settings: Any) -> Any:
    """The transformers class `name`, one of plain decoders: Qwen3Model, Gemma2Model, LlamaForCausalLM, GlmModel, …"""
    import transformers

    kind = getattr(transformers, name)
    return kind(kind.config_class(**_text(layers, **settings))).eval()


def qwen2_vl(layers: int = 3) -> Any:
    """Qwen 2.5 VL, of which pipelines read the text's side."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    rope = {
        "rope_parameters": {"type": "default", "rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e6}
    }
    vision = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": WIDTH}
    config = Qwen2_5_VLConfig(
        text_config=_text(layers, **rope), vision_config=vision, image_token_id=6, video_token_id=7
    )
    return Qwen2_5_VLForConditionalGeneration(config).eval()


def qwen3_vl(layers: int = 3, name: str = "Qwen3VLForConditionalGeneration") -> Any:
    """Qwen 3 VL."""
    import transformers

    rope = {"rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e6}}
    vision = {
        "depth": 1,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_heads": 2,
        "out_hidden_size": WIDTH,
        "deepstack_visual_indexes": [0],
    }
    config = transformers.Qwen3VLConfig(
        text_config=_text(layers, **rope), vision_config=vision, image_token_id=6, video_token_id=7
    )
    return getattr(transformers, name)(config).eval()


def mistral3(layers: int = 31, name: str = "Mistral3ForConditionalGeneration") -> Any:
    """Mistral 3 with its Pixtral eyes."""
    import transformers

    vision = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 28,
    }
    text = {"model_type": "mistral", **_text(layers)}
    config = transformers.Mistral3Config(
        text_config=text, vision_config={"model_type": "pixtral", **vision, "patch_size": 14}, image_token_index=6
    )
    return getattr(transformers, name)(config).eval()


def processor() -> Any:
    """Chats and pictures to tokens: LLaVA's, which needs no torchvision as Qwen's would."""
    from transformers import CLIPImageProcessor, LlavaProcessor

    pictures = CLIPImageProcessor(size=28, crop_size=28)
    return LlavaProcessor(pictures, byte_tokenizer(), patch_size=14, image_token="<|image_pad|>", chat_template=CHAT)
