"""Digits and signs for letters."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from stages.attack.letters import WORD, chosen
from stages.attack.text_attack import Rewritten, TextAttack

SIGNS = {"a": "4@", "b": "8", "e": "3", "g": "9", "i": "1!", "l": "1", "o": "0", "s": "5$", "t": "7"}


@dataclass(frozen=True, kw_only=True)
class Leetspeak(TextAttack):
    """Replace up to `edit_budget` letters by signs that pass for them."""

    preserves: ClassVar[bool] = True

    def rewrite(self, text: str, seed: int) -> Rewritten:
        """Inside words of four letters and more: a lone sign may be meant as a number, and nobody could tell."""
        draw = np.random.default_rng(seed)
        inside = (place for word in WORD.finditer(text) for place in range(*word.span()))
        places = chosen([place for place in inside if text[place].lower() in SIGNS], self.edit_budget, draw)
        cut = list(text)
        for place in places:
            signs = SIGNS[text[place].lower()]
            cut[place] = signs[int(draw.integers(len(signs)))]
        return Rewritten("".join(cut), len(places))
