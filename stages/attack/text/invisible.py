"""Characters that take no space: zero-width ones and marks of direction (Boucher et al. 2022, "Bad Characters")."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from stages.attack.letters import chosen, inner_gaps, letters
from stages.attack.text_attack import Rewritten, TextAttack

# Zero-width space, non-joiner, word joiner, soft hyphen; left-to-right and right-to-left marks. No override: that would turn the
# letters round, and stripping it would not bring them back.
SIGNS = ("\u200b", "\u200c", "\u2060", "\u00ad", "\u200e", "\u200f")


@dataclass(frozen=True, kw_only=True)
class Invisible(TextAttack):
    """Put up to `edit_budget` invisible characters between letters of words."""

    preserves: ClassVar[bool] = True

    def rewrite(self, text: str, seed: int) -> Rewritten:
        """Only inside words: elsewhere a tokenizer may not notice."""
        draw = np.random.default_rng(seed)
        cut = letters(text)
        places = chosen(inner_gaps(text), self.edit_budget, draw)
        for place in reversed(places):
            cut.insert(place, SIGNS[int(draw.integers(len(SIGNS)))])
        return Rewritten("".join(cut), len(places))
