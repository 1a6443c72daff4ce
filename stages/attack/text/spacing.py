"""Words pulled apart."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from stages.attack.letters import WORD, chosen, letters
from stages.attack.text_attack import Rewritten, TextAttack

SEPARATORS = (" ", ".", "-", "_")


@dataclass(frozen=True, kw_only=True)
class Spacing(TextAttack):
    """Spell up to `edit_budget` words with a separator between all letters. One edit a word."""

    preserves: ClassVar[bool] = True
    edit_budget: int = 1

    def rewrite(self, text: str, seed: int) -> Rewritten:
        """Words of four letters and more."""
        draw = np.random.default_rng(seed)
        words = list(WORD.finditer(text))
        picked = chosen(list(range(len(words))), self.edit_budget, draw)
        for index in reversed(picked):
            separator = SEPARATORS[int(draw.integers(len(SEPARATORS)))]
            start, end = words[index].span()
            text = text[:start] + separator.join(letters(text[start:end])) + text[end:]
        return Rewritten(text, len(picked))
