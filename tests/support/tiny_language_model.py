"""A causal language model with random weights, saved as a real one's directory is."""

from pathlib import Path

import torch

CHAT = "{% for message in messages %}<|im_start|> {{ message['content'] }} <|im_end|> {% endfor %}"
WORDS = (
    "a", "the", "red", "blue", "old", "small", "apple", "dog", "cat", "two", "keys", "house", "moon", "pill", "wall", "table",
    "on", "in", "with", "and", "near", "under", "stands", "lies", "shows", "say", ":", ".", "!",
)  # fmt: skip


def save_language_model(directory: Path, *, chat: bool) -> Path:
    """A Llama of 2 layers that knows 29 words; with a chat format or without."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    pieces = ["<|im_end|>", "<|im_start|>", "<unk>", *WORDS]
    inner = Tokenizer(models.WordLevel({piece: index for index, piece in enumerate(pieces)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<|im_end|>", bos_token="<|im_start|>", unk_token="<unk>"
    )
    if chat:
        tokenizer.chat_template = CHAT
    tokenizer.save_pretrained(directory)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(pieces),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        bos_token_id=1,
        eos_token_id=0,
        initializer_range=0.3,  # larger than in earnest, so that what is asked changes what is written
    )
    LlamaForCausalLM(config).save_pretrained(directory)
    return directory
