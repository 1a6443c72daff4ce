"""Prompts as single words' vectors: a tokenizer and a table, for classifiers that read words without their context."""

from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from classifiers.layers.canonical import Canonical
from classifiers.layers.concept_reader import sized
from classifiers.layers.encoder import ClipEncoder
from classifiers.layers.possible_readings import readings_of


class WordTable(ClipEncoder):
    """Stands where other classifiers have a CLIP. `table` is float32 [vocabulary, width] and stays as it is.

    Its plain spelling reads a word that nobody knows as all that it may stand for (`possible_readings`).
    """

    table: Tensor
    mean: Tensor

    def __init__(self, table: Tensor, tokenizer: Any, length: int) -> None:
        nn.Module.__init__(self)
        self.tokenizer = tokenizer
        self.prompt_length = length
        self.register_buffer("table", table.detach().clone())
        self.register_buffer("mean", torch.zeros(1), persistent=False)  # tells on which device it is

    @classmethod
    def of_clip(cls, folder: Path) -> Self:
        """The token table of a CLIP as transformers stores it. Raises InputError for anything else."""
        clip = ClipEncoder.from_directory(folder)
        return cls(clip.embedding_table(), clip.tokenizer, clip.length)

    @classmethod
    def from_config(cls, settings: dict[str, Any], folder: Path) -> Self:
        """Of the shape that `settings` says, its table still to be loaded; the tokenizer lies in `folder`."""
        from transformers import AutoTokenizer

        rows, width, length = (int(settings["words"][name]) for name in ("rows", "width", "length"))
        return cls(torch.zeros(rows, width), AutoTokenizer.from_pretrained(folder, local_files_only=True), length)

    def settings(self) -> dict[str, Any]:
        """What `from_config` wants."""
        rows, width = self.table.shape
        return {"words": {"rows": rows, "width": width, "length": self.prompt_length}}

    @property
    def length(self) -> int:
        """Tokens that a prompt is padded and cut to."""
        return self.prompt_length

    @cached_property
    def lexicon(self) -> Canonical:
        """The plain spelling, an unknown word as all its possible readings."""
        return readings_of(self.tokenizer)

    def embedding_table(self) -> Tensor:
        """float32 [vocabulary, width]."""
        return self.table

    def resized(self, pixels: Tensor) -> Tensor:
        """As a concept reader sees them: float32 [n, 3, 64, 64] of [n, 3, h, w]."""
        return sized(pixels)
