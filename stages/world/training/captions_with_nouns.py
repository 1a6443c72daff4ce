"""Captions for scenes, with the places of their nouns: what the text tower learns from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import CLIPTokenizer

from stages.world.captions import caption, misspell
from stages.world.language import plural
from stages.world.scene import Scene
from stages.world.training.scene_batches import INDEX
from stages.world.training.tokenizer import MAX_TOKENS
from stages.world.vocabulary import BY_NAME

TYPOS = 0.07  # per word, as the captions of the world have them
_WORD = re.compile(r"[A-Za-z]+")


@dataclass(frozen=True)
class Noun:
    """A word of a caption that names a pictogram: character span, concept index, place in the scene's order."""

    start: int
    end: int
    concept: int
    place: int


@dataclass(frozen=True)
class CaptionWithNouns:
    """A caption and its nouns."""

    text: str
    nouns: tuple[Noun, ...]


def spellings(concept: str) -> set[str]:
    """Every word that names the concept, plurals included."""
    words = BY_NAME[concept].words
    return {*words, *(plural(word) for word in words)}


def word_scene(
    scene: Scene, rng: np.random.Generator, typos: float = TYPOS, *, held_out: bool = False
) -> CaptionWithNouns:
    """A fresh caption of the scene with misspelt words; a misspelt noun keeps its label. `held_out`: for measuring only.

    The typos are made here and not by `caption`, so that the nouns are found before they are broken.
    """
    clean = caption(scene, rng, typos=0.0, held_out=held_out)
    owners: dict[str, list[int]] = {}
    for place, name in enumerate(scene.concepts):
        for spelling in spellings(name):
            owners.setdefault(spelling, []).append(place)
    out, nouns, end = "", [], 0
    for match in _WORD.finditer(clean):
        out += clean[end : match.start()]
        end, word = match.end(), match.group()
        spelt = misspell(word, rng, typos)
        places = owners.get(word.lower())
        if places:
            nouns.append(Noun(len(out), len(out) + len(spelt), INDEX[scene.concepts[places[0]]], places[0]))
        out += spelt
    return CaptionWithNouns(out + clean[end:], tuple(nouns))


def encode(tokenizer: CLIPTokenizer, texts: Sequence[str], *, full: bool = True) -> Tensor:
    """int64 [B, 77], or [B, longest] with `full=False` (causal attention: the words' states are the same)."""
    padding = "max_length" if full else "longest"
    encoded = tokenizer(list(texts), padding=padding, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
    ids: Tensor = encoded["input_ids"]
    return ids


def noun_tokens(tokenizer: CLIPTokenizer, wordings: Sequence[CaptionWithNouns]) -> tuple[Tensor, Tensor]:
    """Token ids int64 [B, longest] and one row (caption, last token of the noun, concept, place) a noun: int64 [N, 4].

    The last token: only there has a causal tower seen the whole noun.
    """
    encoded = tokenizer([w.text for w in wordings], truncation=True, max_length=MAX_TOKENS, return_offsets_mapping=True)
    longest = max(len(ids) for ids in encoded["input_ids"])
    ids = torch.full((len(wordings), longest), int(tokenizer.pad_token_id or 0))
    rows: list[tuple[int, int, int, int]] = []
    for row, wording in enumerate(wordings):
        tokens = encoded["input_ids"][row]
        ids[row, : len(tokens)] = torch.tensor(tokens)
        ends = {end: index for index, (start, end) in enumerate(encoded["offset_mapping"][row]) if end > start}
        rows += [(row, ends[n.end], n.concept, n.place) for n in wording.nouns if n.end in ends]
    return ids, torch.tensor(rows, dtype=torch.int64).reshape(-1, 4)
