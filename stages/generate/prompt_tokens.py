"""How much of a prompt a pipeline's text encoders read: what is beyond, they never see, and diffusers says so in a log only."""

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from schemas.sample import Sample

PARTS = ("text_encoder", "text_encoder_2", "text_encoder_3", "text_encoder_4", "prior_text_encoder")


@dataclass(frozen=True)
class TextEncoder:
    """One encoder's tokenizer, and how many tokens it reads, its special ones too."""

    name: str
    tokenizer: Any
    limit: int

    def tokens(self, text: str) -> int:
        """Of the whole text."""
        return len(self.tokenizer(text).input_ids)

    def read(self, text: str) -> str:
        """The part of the text that is encoded."""
        if self.tokens(text) <= self.limit:
            return text
        if self.tokenizer.is_fast:
            kept = self.tokenizer(text, truncation=True, max_length=self.limit, return_offsets_mapping=True)
            return text[: max(end for _, end in kept["offset_mapping"])]
        kept = self.tokenizer(text, truncation=True, max_length=self.limit)
        return str(self.tokenizer.decode(kept["input_ids"], skip_special_tokens=True))


def text_encoders(pipeline: Any, call: Mapping[str, Any]) -> tuple[TextEncoder, ...]:
    """The encoders of a diffusers text-to-image pipeline that is called with `call`."""
    encoders = []
    for part in PARTS:
        encoder = getattr(pipeline, part, None)
        tokenizer = getattr(pipeline, part.replace("text_encoder", "tokenizer"), getattr(pipeline, "processor", None))
        if tokenizer is not None and hasattr(tokenizer, "image_processor"):  # a processor of pictures and text
            tokenizer = tokenizer.tokenizer
        if encoder is not None and tokenizer is not None:
            encoders.append(TextEncoder(part, tokenizer, _limit(pipeline, encoder, tokenizer, call)))
    return tuple(encoders)


def _limit(pipeline: Any, encoder: Any, tokenizer: Any, call: Mapping[str, Any]) -> int:
    """CLIP reads as many as it has positions for; T5 and language models what the pipeline's call says (`max_sequence_length`)."""
    positions = getattr(encoder.config, "max_position_embeddings", tokenizer.model_max_length)
    if "CLIP" not in type(encoder).__name__:
        parameter = inspect.signature(type(pipeline).__call__).parameters.get("max_sequence_length")
        limit = call.get("max_sequence_length", None if parameter is None else parameter.default)
        own = getattr(pipeline, "tokenizer_max_length", tokenizer.model_max_length)
        return int(limit or own or tokenizer.model_max_length)
    return int(min(tokenizer.model_max_length, positions))


def with_reading(sample: Sample, encoders: tuple[TextEncoder, ...]) -> Sample:
    """The sample with its tokens counted, and of a prompt that no encoder reads to its end the part that one of them reads."""
    if not encoders:
        return sample
    text = sample.generation_prompt
    tokens = {encoder.name: encoder.tokens(text) for encoder in encoders}
    worst = max(encoders, key=lambda encoder: tokens[encoder.name] / encoder.limit)
    counted = {encoder.name: {"tokens": tokens[encoder.name], "limit": encoder.limit} for encoder in encoders}
    return sample.with_(
        generation_prompt=max((encoder.read(text) for encoder in encoders), key=len),
        prompt_tokens=tokens[worst.name],
        truncated=tokens[worst.name] > worst.limit,
        encoder_tokens=json.dumps(counted, separators=(",", ":"), sort_keys=True),
    )
