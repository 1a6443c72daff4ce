"""Encode a prompt that is longer than CLIP reads: cut into chunks, each encoded by itself, the embeddings one behind the other.

What the denoiser attends to then has a row for each token of the whole prompt. Tokens do not see those of other chunks, and what a
pipeline has of the prompt as a whole (the pooled embedding of SDXL) is of the first chunk.
"""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from schemas.errors import InputError
from stages.generate.pipeline_directory import PipelineDirectory
from stages.generate.prompt_tokens import PARTS, TextEncoder

TRUNCATE, CHUNKS = "truncate", "chunks"
HOW = (TRUNCATE, CHUNKS)
"""What a stage does with a prompt beyond its encoders: draw its beginning, or all of it."""
CLIP = ("CLIPTextModel", "CLIPTextModelWithProjection")
# What `encode_prompt` of Stable Diffusion, SDXL and their kin gives, in this order.
ENCODED = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
ASKED = {"prompt", "device", "num_images_per_prompt", "do_classifier_free_guidance", "negative_prompt"}


def refuse_chunks(directory: PipelineDirectory) -> None:
    """Raise InputError for a pipeline that cannot be given the embeddings of a long prompt, before anything is loaded."""
    kind = directory.kind
    named = {part: directory.index[part][1] for part in PARTS if directory.index.get(part, [None, None])[1]}
    others = sorted(set(named.values()) - set(CLIP))
    encode = getattr(kind.found, "encode_prompt", None)
    asked = set() if encode is None else set(inspect.signature(encode).parameters)
    if others or not named or directory.denoiser != "unet":
        reason = f"encodes prompts with {', '.join(others) or 'no CLIP'}, not with CLIP alone"
    elif "prompt_embeds" not in kind.accepts or not asked >= ASKED:
        reason = "takes no embeddings in place of a prompt"
    else:
        return
    raise InputError(
        f"--long-prompts chunks: a {kind.name} {reason}; use truncate (rows say what was cut) or refuse, "
        "or a Stable Diffusion or SDXL model"
    )


def check_how(how: str, stage: str, watched: bool) -> None:
    """Raise InputError for what is no way to treat long prompts, or none of a stage whose steps are `watched`."""
    if how not in HOW:
        raise InputError(f"long_prompts is {how!r}; expected one of {', '.join(HOW)}")
    if watched and how == CHUNKS:
        raise InputError(
            f"--long-prompts chunks: {stage} is guarded here, or early steps are kept of it, and reads a prompt as one piece; "
            "use truncate or refuse"
        )


def chunks_of(encoders: Sequence[TextEncoder], *texts: str | None) -> int:
    """How many the longest of the texts needs, 1 where all are read whole."""
    return max((encoder.chunks(text) for encoder in encoders for text in texts if text is not None), default=1)


@dataclass(frozen=True)
class ChunkTokenizer:
    """Stands in for a pipeline's tokenizer, and gives the `index`-th chunk of each text in place of its beginning.

    So layers, masks and pooling are left to the pipeline's own `encode_prompt`. A text that has no such chunk gives an empty one.
    """

    encoder: TextEncoder
    index: int

    def __getattr__(self, name: str) -> Any:
        return getattr(self.encoder.tokenizer, name)

    def __call__(self, texts: str | Sequence[str], **_: Any) -> Any:
        """Tokens int64 [texts, limit] with their mask, as the tokenizer lays out a text of that length."""
        import torch
        from transformers import BatchEncoding

        tokenizer, limit = self.encoder.tokenizer, self.encoder.limit
        rows, masks = [], []
        for text in [texts] if isinstance(texts, str) else texts:
            size = self.encoder.chunk_size
            whole = tokenizer(text, add_special_tokens=False).input_ids
            part = [tokenizer.bos_token_id, *whole[self.index * size :][:size], tokenizer.eos_token_id]
            rows.append(part + [tokenizer.pad_token_id] * (limit - len(part)))
            masks.append([1] * len(part) + [0] * (limit - len(part)))
        return BatchEncoding({"input_ids": torch.tensor(rows), "attention_mask": torch.tensor(masks)})


def encoded(
    pipeline: Any, encoders: Sequence[TextEncoder], prompts: Sequence[str], negative: Sequence[str] | None, chunks: int
) -> dict[str, Any]:
    """What the pipeline is called with in place of `prompts` and `negative`: embeddings of `chunks` chunks, each of all rows."""
    import torch

    found: dict[str, list[Any]] = {}
    for index in range(chunks):
        with _reading(pipeline, encoders, index):
            parts = pipeline.encode_prompt(
                prompt=list(prompts),
                device=pipeline._execution_device,
                num_images_per_prompt=1,
                do_classifier_free_guidance=True,
                negative_prompt=None if negative is None else list(negative),
            )
        for name, value in zip(ENCODED, parts, strict=False):
            found.setdefault(name, []).append(value)
    taken = inspect.signature(type(pipeline).__call__).parameters
    whole = {name: values[0] if "pooled" in name else torch.cat(values, dim=1) for name, values in found.items()}
    return {name: value for name, value in whole.items() if name in taken}


@contextmanager
def _reading(pipeline: Any, encoders: Sequence[TextEncoder], index: int) -> Iterator[None]:
    """While open, the pipeline's tokenizers give the `index`-th chunk. Its index stays as it is."""
    own: Mapping[str, Any] = {encoder.tokenizer_name: getattr(pipeline, encoder.tokenizer_name) for encoder in encoders}
    vars(pipeline).update({encoder.tokenizer_name: ChunkTokenizer(encoder, index) for encoder in encoders})
    try:
        yield
    finally:
        vars(pipeline).update(own)
