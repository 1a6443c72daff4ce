"""The same words said twice: as the grammar says them, and freely.

Freely: parts in any order but the held-out ones, strange words and fillers before, between and instead of what joins, typos.
Words that both wordings share carry the same key, so that a tower can learn that they mean the same wherever they stand
(`text.py`). Of the held-out phrasing nothing is said here: not its openings, not its joining words, and no order of parts
that its orders give and the known ones do not, whichever parts are absent.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import permutations

import numpy as np
import torch
from torch import Tensor
from transformers import CLIPTokenizer

from stages.world.captions import asked, misspell
from stages.world.language import BESIDE, HELD_OUT_ORDERS, OPENINGS, ORDERS, parts_of, ways_to_order
from stages.world.scene import Scene
from stages.world.training.captions_with_nouns import spellings
from stages.world.training.scene_batches import INDEX
from stages.world.training.tokenizer import MAX_TOKENS

STRANGE = ""  # the text of a word whose embedding is drawn at random
FILLER, COMMA = -1, -2  # keys of words that say nothing of the scene
TYPOS = 0.09  # per word of the free wording; the grammar's wording is spelt right
_JOINS = frozenset(word for phrase in BESIDE for word in phrase.split())
_ARTICLES = frozenset({"a", "an", "the", "some"})
_FUNCTION_WORDS = (*sorted({word for phrase in OPENINGS for word in phrase.split()}), "the", "that", "it", "for", "on")


@dataclass(frozen=True)
class KeyedWord:
    """A word of a wording; `key` is shared with the other wording, `concept` and `place` are -1 unless it names a thing."""

    text: str
    key: int
    concept: int = -1
    place: int = -1


Words = list[KeyedWord]


@lru_cache(maxsize=16)
def free_orders(present: frozenset[str]) -> tuple[tuple[str, ...], ...]:
    """All orders of the parts, without those that only the held-out orders give."""
    banned = set(ways_to_order(HELD_OUT_ORDERS, present)) - set(ways_to_order(ORDERS, present))
    return tuple(order for order in permutations(sorted(present)) if order not in banned)


def _named(scene: Scene) -> dict[str, tuple[int, int]]:
    owners: dict[str, tuple[int, int]] = {}
    for place, name in enumerate(scene.concepts):
        for spelling in spellings(name):
            owners.setdefault(spelling, (INDEX[name], place))
    return owners


def strange_word(rng: np.random.Generator) -> KeyedWord:
    """A word nobody knows, letters without sense, or a function word out of place."""
    dice = rng.random()
    if dice < 0.5:
        return KeyedWord(STRANGE, FILLER)
    if dice < 0.75:
        return KeyedWord("".join(rng.choice(list(string.ascii_lowercase), int(rng.choice((1, 4, 5, 6, 7))))), FILLER)
    return KeyedWord(_FUNCTION_WORDS[int(rng.integers(len(_FUNCTION_WORDS)))], FILLER)


def _strangers(rng: np.random.Generator, most: int) -> Words:
    return [strange_word(rng) for _ in range(int(rng.integers(1, most + 1)))]


def _joined_strangely(words: Words, rng: np.random.Generator) -> Words:
    """Strange words instead of what joins two things side by side."""
    nouns = [i for i, word in enumerate(words) if word.place >= 0]
    if len(nouns) != 2:
        return words
    between = [i for i in range(nouns[0] + 1, nouns[1]) if words[i].text not in _ARTICLES]
    if not between or any(words[i].text not in _JOINS for i in between):
        return words
    return words[: between[0]] + _strangers(rng, 4) + words[between[-1] + 1 :]


def two_wordings(scene: Scene, rng: np.random.Generator) -> tuple[Words, Words]:
    """The scene in the grammar's words, spelt right, and the same words freely."""

    def pick(n: int) -> int:
        return int(rng.integers(n))

    owners, parts, keys = _named(scene), {}, iter(range(MAX_TOKENS))
    for name, wordings in parts_of(asked(scene, rng), pick).items():
        parts[name] = [
            KeyedWord(text, FILLER if name == "b" else next(keys), *owners.get(text, (-1, -1)))
            for text in wordings.split()
        ]
    present = frozenset(name for name, words in parts.items() if words and name != "b")
    orders = ways_to_order(ORDERS, present)
    plain: Words = []
    comma = bool(pick(2))
    for name in orders[pick(len(orders))]:
        plain += [KeyedWord(",", COMMA)] if comma and plain else []
        plain += (parts["b"] if name == "o" else []) + parts[name]
    return plain, _freely(parts, free_orders(present), rng)


def _freely(parts: dict[str, Words], orders: tuple[tuple[str, ...], ...], rng: np.random.Generator) -> Words:
    dice = rng.random(4)
    opening = parts["b"] if dice[0] < 0.4 else _strangers(rng, 7) if dice[0] < 0.85 else []
    things = _joined_strangely(parts["o"], rng) if dice[1] < 0.35 else parts["o"]
    free = [word for _ in range(1 + int(dice[2] < 0.1)) for word in _strangers(rng, 15)] if dice[2] < 0.2 else []
    comma = dice[3] < 0.5
    for place, name in enumerate(orders[int(rng.integers(len(orders)))]):
        free += [KeyedWord(",", COMMA)] if comma and place else []
        free += _strangers(rng, 3) if rng.random() < 0.15 else []
        free += opening + things if name == "o" else parts[name]
    return [replace(word, text=misspell(word.text, rng, TYPOS)) if word.key >= 0 else word for word in free]


def free_caption(scene: Scene, rng: np.random.Generator) -> str:
    """A free wording as text; words nobody knows become random letters."""
    letters = list(string.ascii_lowercase)
    _, free = two_wordings(scene, rng)
    return " ".join(word.text or "".join(rng.choice(letters, int(rng.integers(4, 8)))) for word in free)


class Encoder:
    """Words to tokens, each word once."""

    def __init__(self, tokenizer: CLIPTokenizer) -> None:
        self.tokenizer = tokenizer
        self.strange = int(tokenizer.convert_tokens_to_ids("Ā"))  # byte 0, which no text has
        self._known: dict[str, list[int]] = {STRANGE: [self.strange]}

    def _tokens(self, text: str) -> list[int]:
        if text not in self._known:
            self._known[text] = list(self.tokenizer(text)["input_ids"][1:-1])
        return self._known[text]

    def encode(self, wordings: Sequence[Words], length: int) -> tuple[Tensor, list[list[int]]]:
        """int64 [B, length] with start, end and padding, and the last token of each word (-1: cut off)."""
        start, end, pad = self.tokenizer.bos_token_id, self.tokenizer.eos_token_id, self.tokenizer.pad_token_id
        ids = torch.full((len(wordings), length), int(pad or 0))
        lasts: list[list[int]] = []
        for row, words in enumerate(wordings):
            tokens, ends = [int(start or 0)], []
            for word in words:
                tokens += self._tokens(word.text)
                ends.append(len(tokens) - 1 if len(tokens) < length else -1)
            tokens = [*tokens[: length - 1], int(end or 0)]
            ids[row, : len(tokens)] = torch.tensor(tokens)
            lasts.append(ends)
        return ids, lasts
