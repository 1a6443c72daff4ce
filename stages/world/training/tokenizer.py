"""A byte-level BPE tokenizer in CLIP's layout: every word of the grammar is one token, every byte has one too."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

from transformers import CLIPTokenizer

MAX_TOKENS = 77  # homoglyphs cost 2-4 tokens a letter: 32 tokens overrun, 77 do not (measured in the trial)
START, END = "<|startoftext|>", "<|endoftext|>"
WORD_END = "</w>"
# The pieces CLIPTokenizer's pre-tokenizer makes of ASCII text.
_PIECES = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[a-z]+|[0-9]|[^\sa-z0-9]+")


def byte_letters() -> list[str]:
    """The 256 printable letters that stand for bytes (GPT-2's table), in the order of the bytes."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters, spare = [], 0
    for byte in range(256):
        if byte in printable:
            letters.append(chr(byte))
        else:
            letters.append(chr(256 + spare))
            spare += 1
    return letters


def pieces(words: list[str]) -> list[str]:
    """Distinct pre-tokens of the given words, as strings of byte letters."""
    letters = byte_letters()
    known = {piece for word in words for piece in _PIECES.findall(word.lower())}
    return sorted("".join(letters[b] for b in piece.encode()) for piece in known)


def learn_merges(words: list[str]) -> list[tuple[str, str]]:
    """BPE merges, most frequent pair first, until every word is a single token.

    Ties are broken by the pair itself, so that the same words give the same merges.
    """
    spellings = [[*word[:-1], word[-1] + WORD_END] for word in words]
    merges: list[tuple[str, str]] = []
    while any(len(spelling) > 1 for spelling in spellings):
        pairs = Counter(pair for spelling in spellings for pair in pairwise(spelling))
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        spellings = [_merged(spelling, best) for spelling in spellings]
    return merges


def _merged(spelling: list[str], pair: tuple[str, str]) -> list[str]:
    out: list[str] = []
    for token in spelling:
        if out and (out[-1], token) == pair:
            out[-1] += token
        else:
            out.append(token)
    return out


def build(words: list[str]) -> CLIPTokenizer:
    """The tokenizer for a grammar that uses `words`."""
    merges = learn_merges(pieces(words))
    letters = byte_letters()
    tokens = [*letters, *(letter + WORD_END for letter in letters)]
    tokens += [token for token in dict.fromkeys(a + b for a, b in merges) if token not in set(tokens)]
    vocabulary = {token: index for index, token in enumerate([*tokens, START, END])}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=MAX_TOKENS)


def train(work: Path) -> CLIPTokenizer:
    """Build the tokenizer from the grammar's words and store it under `work`/tokenizer."""
    from stages.world.captions import words

    tokenizer = build(sorted(set(words())))
    tokenizer.save_pretrained(work / "tokenizer")
    return tokenizer


def load(work: Path) -> CLIPTokenizer:
    """The tokenizer that `train` stored; raises OSError where there is none."""
    tokenizer: CLIPTokenizer = CLIPTokenizer.from_pretrained(work / "tokenizer", local_files_only=True)
    return tokenizer
