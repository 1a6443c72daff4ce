"""A garbled word is read as all that it may stand for. Beside a monotone judge that can only add evidence: whoever garbles an
unsafe word past recognition still has its reading counted, and does not get to choose a harmless one.
"""

from collections.abc import Iterable
from typing import Any

from classifiers.layers.canonical import SEARCHED, SHORTEST, Canonical, distance, lexicon_of, shortened, signs_folded

MOST = 16  # readings of one word, nearest first
MANY = 3  # edits of the longest words: of each garbled word all ways to leave out as many letters are looked up


class PossibleReadings(Canonical):
    """`Canonical`, but for words that are no known word: these become all words within `tolerated` edits, with spaces between."""

    def __init__(self, words: Iterable[str], meant: Iterable[str] | None = None) -> None:
        super().__init__(words, meant)
        self._far: dict[str, list[str]] = {}
        for word in sorted(self.meant):
            folded = signs_folded(word)
            for cut in shortened(folded, tolerated(folded)):
                self._far.setdefault(cut, []).append(word)

    def __reduce__(self) -> tuple[type, tuple[frozenset[str], frozenset[str]]]:
        return PossibleReadings, (self.words, self.meant)

    def _misspelt(self, word: str) -> str:
        """All of `meant` near enough, nearest first; the word itself where there is none."""
        if not SHORTEST - 1 <= len(word) <= SEARCHED:
            return word
        folded = signs_folded(word)
        most = tolerated(folded)
        near = {meant for cut in shortened(folded, most) for meant in self._far.get(cut, ())}
        ranked = sorted((distance(folded, signs_folded(meant)), distance(word, meant), meant) for meant in near)
        readings = [meant for away, _, meant in ranked if away <= max(most, tolerated(meant))]
        return " ".join(readings[:MOST]) or word


def tolerated(word: str) -> int:
    """Edits after which a word may still be meant: some four in ten of its letters."""
    return min(MANY, max(1, (len(word) * 2) // 5))


def readings_of(tokenizer: Any) -> PossibleReadings:
    """Of all words that `lexicon_of` finds in a tokenizer: a reading too many costs less than the one that was meant."""
    return PossibleReadings(lexicon_of(tokenizer).words)
