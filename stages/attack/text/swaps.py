"""Letters swapped, left out or doubled inside words (Pruthi et al. 2019: the ends of a word stay, and people read on)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from stages.attack.letters import WORD, Draw, chosen, letters
from stages.attack.text_attack import Rewritten, TextAttack


@dataclass(frozen=True, kw_only=True)
class Swaps(TextAttack):
    """One such change in up to `edit_budget` words. The word may become another: truth is read anew."""

    preserves: ClassVar[bool] = False
    edit_budget: int = 2

    def rewrite(self, text: str, seed: int) -> Rewritten:
        """Words of four letters and more."""
        draw = np.random.default_rng(seed)
        words = list(WORD.finditer(text))
        picked = chosen(list(range(len(words))), self.edit_budget, draw)
        for index in reversed(picked):
            start, end = words[index].span()
            text = text[:start] + _changed(letters(text[start:end]), draw) + text[end:]
        return Rewritten(text, len(picked))


def _changed(word: list[str], draw: Draw) -> str:
    """Swap, drop or double at an inner place."""
    if len(word) < 4:
        return "".join(word)
    at = 1 + int(draw.integers(len(word) - 3))
    ways = (
        [*word[:at], word[at + 1], word[at], *word[at + 2 :]],
        [*word[:at], *word[at + 1 :]],
        [*word[: at + 1], *word[at:]],
    )
    return "".join(ways[int(draw.integers(len(ways)))])
