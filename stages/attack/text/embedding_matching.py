"""A prompt without the sensitive words whose text embedding stays near theirs (MMA-Diffusion, Yang et al. 2024, equations 1-4)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from pipeline.stage import Resources
from pipeline.storage.weights import model_directory, weights_digest
from schemas.errors import InputError
from stages.attack.text_attack import Rewritten, TextAttack
from stages.attack.token_search import Aim, Limits, plain_words, search
from stages.world.vocabulary import VOCABULARY

WORLD = frozenset(word for concept in VOCABULARY if concept.kind == "unsafe" for word in concept.words)


@dataclass(frozen=True, kw_only=True)
class EmbeddingMatching(TextAttack):
    """Exchange banned words for others, then tokens one by one, to raise the cosine to the old prompt's embedding.

    White box to the generator's text encoder (`model`, a diffusers directory), which needs no question to any filter. The picture
    decides whether it worked: truth is read anew. `edit_budget` counts tokens.
    """

    preserves: ClassVar[bool] = False
    resources: ClassVar[Resources] = Resources(cpus=1.0, accelerator=True)
    model: str = "assets/world/t2i"
    banned: frozenset[str] = WORLD
    edit_budget: int = 6
    top: int = 24
    query_budget: int = 300
    tries: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.banned:
            raise InputError("embedding_matching: banned is empty; name the words that the prompt must lose")

    def revision(self) -> str:
        """Digest of the text encoder, with the target's."""
        return f"{weights_digest(self._folder / 'text_encoder')} {super().revision()}"

    def describe(self) -> dict[str, str]:
        """Sets have no order of their own."""
        return {**super().describe(), "banned": repr(sorted(self.banned))}

    def rewrite(self, text: str, seed: int) -> Rewritten:
        """Unchanged where no banned word stands in the text, or more of them than the budget allows."""
        reader = self._reader
        ids = reader.encode([text])
        places = [at for at in reader.editable(ids)[0].nonzero().flatten().tolist() if self._is_banned(ids[0, at])]
        if not places or len(places) > self.edit_budget:
            return Rewritten(text, 0)
        draw = np.random.default_rng(seed)
        options = self._words.nonzero().flatten().tolist()
        untrained = ids.clone()
        for at in places:
            untrained[0, at] = options[int(draw.integers(len(options)))]
        start = reader.decode(untrained[0])
        wanted = reader.embed(ids)
        limits = Limits(tokens=self.edit_budget, top=self.top, queries=self.query_budget)
        best = search(reader, start, reader.nearness(wanted), self._words, limits)
        held = any(word in best.text.casefold().split() for word in self.banned)
        encoded = reader.encode([best.text])
        edits = int((encoded != ids).sum())
        return Rewritten(text, 0) if held or edits > self.edit_budget else Rewritten(best.text, edits, 0)

    def _is_banned(self, token: Tensor) -> bool:
        word = self._reader.decode(token[None]).casefold()
        return any(word == held or word == f"{held}s" for held in self.banned)

    @cached_property
    def _folder(self) -> Path:
        return model_directory(self.model)

    @cached_property
    def _reader(self) -> "DiffusersTextEncoder":
        return DiffusersTextEncoder(self._folder)

    @cached_property
    def _words(self) -> Tensor:
        return plain_words(self._reader, self.banned)

    def __getstate__(self) -> dict[str, Any]:
        """Without what was loaded."""
        return {key: value for key, value in vars(self).items() if not key.startswith("_")}


class DiffusersTextEncoder:
    """The CLIP text encoder of a diffusers directory, on tokens and on their embeddings."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoTokenizer, CLIPTextModel

        self._model = CLIPTextModel.from_pretrained(
            folder / "text_encoder", local_files_only=True, use_safetensors=True
        )
        self._model = self._model.float().eval().requires_grad_(False)
        self._tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
        self._table = self._model.get_input_embeddings()
        self._marks = torch.tensor(sorted(self._tokenizer.all_special_ids))

    def encode(self, prompts: Sequence[str]) -> Tensor:
        """int64 [n, length]."""
        length = int(self._model.config.max_position_embeddings)
        encoded = self._tokenizer(
            list(prompts), padding="max_length", truncation=True, max_length=length, return_tensors="pt"
        )
        ids: Tensor = encoded["input_ids"]
        return ids

    def decode(self, ids: Tensor) -> str:
        """The text of one row."""
        return str(self._tokenizer.decode(ids.tolist(), skip_special_tokens=True)).strip()

    def editable(self, ids: Tensor) -> Tensor:
        """bool like `ids`."""
        return ~torch.isin(ids, self._marks)

    def embedding_table(self) -> Tensor:
        """float32 [vocabulary, width]."""
        weight: Tensor = self._table.weight.detach()
        return weight

    def embed(self, ids: Tensor, embeddings: Tensor | None = None) -> Tensor:
        """The pooled vectors [n, width]; row by row of the planned shape."""
        if embeddings is None:
            with torch.no_grad():
                pooled: Tensor = self._model(input_ids=ids).pooler_output
            return pooled
        hook = self._table.register_forward_hook(lambda *_: embeddings)
        try:
            pooled = self._model(input_ids=ids).pooler_output
        finally:
            hook.remove()
        return pooled

    def nearness(self, wanted: Tensor) -> Aim:
        """Cosine to `wanted` [1, width], to be raised as far as it goes."""

        def values(texts: list[str]) -> Tensor:
            return torch.cat([cosine_similarity(self.embed(self.encode([text])), wanted) for text in texts])

        def slope(text: str, ids: Tensor) -> Tensor:
            with torch.enable_grad():
                at = self.embedding_table()[ids].clone().requires_grad_(True)
                (gradient,) = torch.autograd.grad(cosine_similarity(self.embed(ids, at), wanted).sum(), at)
            return gradient[0]

        return Aim(values, slope, lambda value: value > 0.999)
