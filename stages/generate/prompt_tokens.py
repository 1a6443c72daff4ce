"""How much of a prompt a pipeline's text encoders read: what is beyond, they never see, and diffusers says so in a log only."""

import inspect
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from schemas.sample import Sample
from stages.generate.pipeline_directory import PipelineDirectory
from stages.generate.quiet import quieten

OWN_LENGTH = re.compile(
    r"self\.(tokenizer\w*_max_length) = (\d+)$", re.MULTILINE
)  # what a class sets itself when it is made
SPECIAL = 4  # tokens that a tokenizer may add to a text: its beginning, its end, and T5's mark of a word
PARTS = ("text_encoder", "text_encoder_2", "text_encoder_3", "text_encoder_4", "prior_text_encoder")


@dataclass(frozen=True)
class TextEncoder:
    """One encoder's tokenizer, and how many tokens it reads, its special ones too."""

    name: str
    tokenizer: Any
    limit: int

    @property
    def tokenizer_name(self) -> str:
        """What its pipeline calls the tokenizer."""
        return self.name.replace("text_encoder", "tokenizer")

    def tokens(self, text: str) -> int:
        """Of the whole text."""
        return len(self.tokenizer(text).input_ids)

    def reads_whole(self, text: str) -> bool:
        """Whether the whole text is read; short ASCII is not counted to tell, for no token is less than a letter."""
        return (text.isascii() and len(text) + SPECIAL <= self.limit) or self.tokens(text) <= self.limit

    @property
    def chunk_size(self) -> int:
        """Tokens of a text that fit beside the special ones."""
        return self.limit - self.tokens("")

    def chunks(self, text: str) -> int:
        """How many pieces of `chunk_size` the text has, at least 1."""
        return 1 if self.reads_whole(text) else -(-(self.tokens(text) - self.tokens("")) // self.chunk_size)

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


def encoders_on_disk(directory: PipelineDirectory) -> tuple[TextEncoder, ...]:
    """The same encoders as `text_encoders` finds in the loaded pipeline; of the weights nothing is loaded.

    Empty where a tokenizer cannot be had without the pipeline.
    """
    quieten()
    kind, stand_in = directory.kind, type(directory.kind.name, (), {"__call__": directory.kind.found.__call__})()
    for part, value in directory.index.items():
        named = value[1] if isinstance(value, list) and len(value) == 2 else None
        if named and part in PARTS:
            made = type(named, (), {"config": SimpleNamespace(**directory.config(part))})()
            setattr(stand_in, part, made)
        elif named and (part.startswith("tokenizer") or part in ("processor", "prior_tokenizer")):
            try:
                loaded = _library(value[0], named).from_pretrained(directory.path / part, local_files_only=True)
            except (AttributeError, ImportError, OSError, ValueError):
                return ()
            setattr(stand_in, part, loaded)
    for name, number in OWN_LENGTH.findall(inspect.getsource(kind.found.__init__)):
        setattr(stand_in, name, int(number))
    return text_encoders(stand_in, kind.fixed_arguments())


def _library(library: str, named: str) -> Any:
    """A class of transformers, or of a pipeline's own module in diffusers (Kolors' tokenizer). Raises AttributeError."""
    import diffusers.pipelines
    import transformers

    own = getattr(diffusers.pipelines, library, None) if library.isidentifier() else None
    return getattr(transformers if own is None else own, named)


def with_reading(sample: Sample, encoders: tuple[TextEncoder, ...], chunks: int | None = None) -> Sample:
    """The sample with its tokens counted, and of a prompt that no encoder reads to its end the part that one of them reads.

    A prompt that was encoded in `chunks` chunks is read whole.
    """
    if not encoders:
        return sample
    text = sample.generation_prompt
    tokens = {encoder.name: encoder.tokens(text) for encoder in encoders}
    worst = max(encoders, key=lambda encoder: tokens[encoder.name] / encoder.limit)
    counted = {encoder.name: {"tokens": tokens[encoder.name], "limit": encoder.limit} for encoder in encoders}
    if chunks is not None:
        told = {name: {**one, "chunks": chunks} for name, one in counted.items()}
        return sample.with_(prompt_tokens=tokens[worst.name], truncated=False, encoder_tokens=_json(told))
    return sample.with_(
        generation_prompt=max((encoder.read(text) for encoder in encoders), key=len),
        prompt_tokens=tokens[worst.name],
        truncated=tokens[worst.name] > worst.limit,
        encoder_tokens=_json(counted),
    )


def _json(counted: Mapping[str, Any]) -> str:
    return json.dumps(counted, separators=(",", ":"), sort_keys=True)
