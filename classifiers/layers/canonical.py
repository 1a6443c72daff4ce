"""One plain spelling for a prompt before it is read: part of the model, so that whoever attacks the model attacks this too.

Look-alikes, invisible characters, signs for letters, words spelt apart and small misspellings are taken back to words of a
lexicon (the idea of robust encodings, Jones et al. 2020, "Robust Encodings", section 3: a small edit of a word leads to the
same token). What the lexicon does not explain stays as it is.
"""

import json
import re
import unicodedata
from collections.abc import Iterable
from functools import cached_property, lru_cache
from itertools import islice
from typing import Any

from schemas.lookalikes import BEFORE_NFKD, digits, invisible, skeleton, undecorated

# Signs that pass for letters; i, l, 1, ! and | pass for one another, so words are looked up with one letter for all of these.
_SIGNS = str.maketrans("012345678|9@$!+(€£l", "oizeasgtbigasitceii")
_APART = re.compile(r"(?<![^\W_])[^\W\d_](?:([ ._-])[^\W_](?:\1[^\W_]){1,30})(?![^\W_])")
_CHUNK = re.compile(r"\S+")
# What stands around a word: first what is no letter in any reading, then signs too.
_AROUND = tuple(re.compile(rf"^({none}*)(.*?)({none}*)$", re.DOTALL) for none in (r"[^\w$@!|+(€£]", r"\W"))
SHORTEST = 3  # letters of a word that may be a misspelling: of two letters, any word is near any other
LONG = 8  # letters from which on two edits are a misspelling
CHUNK = 128  # characters of the longest run without a space that is looked into: time grows with its square
SEARCHED = 32  # letters of the longest word that is searched: the search takes time with its square
END = "</w>"  # CLIP's mark of a token that ends a word
BEGINS = ("▁", "Ġ")  # SentencePiece's and byte-level BPE's marks of a token that begins a word
LARGEST = 50_000  # words of a lexicon: a vocabulary of a hundred languages has twenty times as many
KEPT = 4096  # words whose reading is remembered


class Canonical:
    """`words` are known; misspelt ones are taken for one of `meant` (default: all). Both in lower case."""

    def __init__(self, words: Iterable[str], meant: Iterable[str] | None = None) -> None:
        self.words = frozenset(words)
        meant = self.words if meant is None else frozenset(meant)
        self.meant = frozenset(word for word in meant if len(word) >= SHORTEST)
        self._alike: dict[str, str] = {}
        for word in sorted(self.words):  # the first in the alphabet where two are written alike
            self._alike.setdefault(word.translate(_SIGNS), word)
        self._read = lru_cache(maxsize=KEPT)(self._word)

    def __reduce__(self) -> tuple[type, tuple[frozenset[str], frozenset[str]]]:
        return Canonical, (self.words, self.meant)

    def __call__(self, text: str) -> str:
        """The text as it is meant, ASCII in lower case; the same again for what comes out. Other languages' words stay."""
        bare = text if text.isascii() else undecorated(unicodedata.normalize("NFC", text))
        together = _APART.sub(lambda match: self._together(match[0], match[1]), bare)
        chunks = (match[0] for match in _CHUNK.finditer(together))
        return " ".join(self._read(chunk) if len(chunk) <= CHUNK else chunk.lower() for chunk in chunks)

    def _together(self, spelt: str, separator: str) -> str:
        """Letters with one separator between all of them: the words that they spell, the fewest; else one word."""
        word = spelt.replace(separator, "")
        cuts = (self._cut(look.translate(_SIGNS)) for look in _looks(word))
        return " ".join(next((cut for cut in cuts if cut), [word]))

    def _cut(self, word: str) -> list[str]:
        """A run of letters cut into the fewest known words; none where it cannot be."""
        best: list[list[str] | None] = [[]] + [None] * len(word)
        for end in range(1, len(word) + 1):
            ways = [
                [*before, self._alike[word[start:end]]]
                for start in range(end)
                if (before := best[start]) is not None and word[start:end] in self._alike
            ]
            best[end] = min(ways, key=len, default=None)
        return best[-1] or []

    def _word(self, chunk: str) -> str:
        """One run of characters without a space."""
        if not chunk.isascii():
            return self._foreign(chunk)
        chunk = chunk.lower()
        if chunk in self.words or not any(char.isalpha() for char in chunk):
            return chunk
        if len(chunk) > 1 and chunk.translate(_SIGNS) in self._alike:
            return self._alike[chunk.translate(_SIGNS)]
        for edges in _AROUND:
            before, core, after = edges.match(chunk).groups()  # type: ignore[union-attr]  # it matches any text
            if core != chunk:
                return str(before + self._word(core) + after)
        parts = re.split(r"([^\w$@!|+]+|_)", chunk)
        if len(parts) > 1:
            return "".join(self._read(part) if part else part for part in parts)
        return self._misspelt(chunk)

    def _foreign(self, chunk: str) -> str:
        """Look-alikes are letters in a known word, and beside ASCII letters; else it is a word of another script."""
        read = [self._word(look) for look in _looks(chunk) if look.isascii()]
        known = (text for text in read if all(word in self.words for word in re.findall(r"[a-z]+", text)))
        mixed = any(char.isascii() and char.isalpha() for char in chunk)
        return next(known, read[0] if read and mixed else chunk)

    def _misspelt(self, word: str) -> str:
        """The nearest word of `meant`, at most one edit away, or two from eight letters on. Else the word itself."""
        if not SHORTEST <= len(word) <= SEARCHED:
            return word
        folded = word.translate(_SIGNS)
        most = _allowed(folded)
        near = {meant for cut in shortened(folded, most) for meant in self._index.get(cut, ())}
        # Of the nearest, the one nearest as it is written ("blve" is "blue", not "bike", whose i is alike to l). Whoever misspells
        # a word keeps its first letter, mostly (Pruthi et al. 2019, section 3); then the alphabet decides.
        ranked = sorted(
            (distance(folded, meant.translate(_SIGNS)), distance(word, meant), meant[0] != word[0], meant)
            for meant in near
        )
        return ranked[0][-1] if ranked and ranked[0][0] <= most else word

    @cached_property
    def _index(self) -> dict[str, list[str]]:
        """Words by all that is left of them when as many letters are cut as they may be misspelt by."""
        index: dict[str, list[str]] = {}
        for meant in sorted(self.meant):
            folded = meant.translate(_SIGNS)
            for cut in shortened(folded, _allowed(folded)):
                index.setdefault(cut, []).append(meant)
        return index


def _looks(text: str) -> tuple[str, ...]:
    """The text with each look-alike as the letter it passes for, in lower case: those of capitals, those of small letters."""
    if text.isascii():
        return (text.lower(),)
    apart = unicodedata.normalize("NFKD", text.translate(BEFORE_NFKD)).translate(invisible())
    seen = unicodedata.normalize("NFC", apart).translate(digits())
    return seen.translate(skeleton()).lower(), seen.lower().translate(skeleton()).lower()


def signs_folded(word: str) -> str:
    """With one letter for all signs that pass for one another."""
    return word.translate(_SIGNS)


def _allowed(word: str) -> int:
    """Edits that are taken for a misspelling."""
    return 2 if len(word) >= LONG else 1


def shortened(word: str, most: int) -> set[str]:
    """The word with up to `most` letters left out: two words within so many edits have one of these in common."""
    forms = {word}
    for _ in range(most):
        forms |= {each[:at] + each[at + 1 :] for each in forms for at in range(len(each))}
    return forms


def distance(one: str, other: str) -> int:
    """Letters put in, left out, exchanged, or swapped with their neighbour (Damerau 1964; none is touched twice)."""
    rows = [list(range(len(other) + 1))]
    for i, letter in enumerate(one, 1):
        row = [i]
        for j, target in enumerate(other, 1):
            cost = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (letter != target))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == target:
                cost = min(cost, rows[-2][j - 2] + 1)
            row.append(cost)
        rows.append(row)
    return rows[-1][-1]


def lexicon_of(tokenizer: Any) -> Canonical:
    """What a tokenizer of `tokenizers` has a token for: CLIP's BPE with an end-of-word mark, whose ends of words are known, not
    meant; or one that marks where words begin (SentencePiece, byte-level BPE) or go on (WordPiece), of its first `LARGEST` words.
    """
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    vocabulary = model.get("vocab", ())
    tokens = [
        token if isinstance(token, str) else token[0] for token in vocabulary
    ]  # Unigram: pairs of token and score
    words = {token.removesuffix(END) for token in tokens if token.endswith(END)}
    if not words:
        piecewise = model.get("type") == "WordPiece"
        begun = (token if piecewise else token[1:] for token in tokens if piecewise or token.startswith(BEGINS))
        known = islice((word.lower() for word in begun if word.isascii() and word.isalpha()), LARGEST)
        return Canonical(known)
    pairs = (merge.split(" ") if isinstance(merge, str) else merge for merge in model.get("merges", ()))
    ends = {right.removesuffix(END) for _, right in pairs}
    whole = {word for word in words if word.isascii() and word.isalpha()}
    return Canonical(whole, whole - ends)
