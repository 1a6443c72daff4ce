"""A finger on the next key."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from stages.attack.letters import kept_case, substitute
from stages.attack.text_attack import Rewritten, TextAttack

ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")  # QWERTY; each row lies about half a key to the right of the one above


def neighbours(letter: str) -> list[str]:
    """Keys that touch this one's; none for what is not on the letter rows."""
    for number, row in enumerate(ROWS):
        at = row.find(letter.lower())
        if at >= 0 and letter:
            beside = [row[place] for place in (at - 1, at + 1) if 0 <= place < len(row)]
            above = [ROWS[number - 1][place] for place in (at, at + 1) if number and place < len(ROWS[number - 1])]
            below = [
                ROWS[number + 1][place]
                for place in (at - 1, at)
                if number + 1 < len(ROWS) and 0 <= place < len(ROWS[number + 1])
            ]
            return [kept_case(key, letter) for key in (*beside, *above, *below)]
    return []


@dataclass(frozen=True, kw_only=True)
class Typos(TextAttack):
    """Replace up to `edit_budget` letters by a neighbour on the keyboard. The word may become another: truth is read anew."""

    preserves: ClassVar[bool] = False
    edit_budget: int = 2

    def rewrite(self, text: str, seed: int) -> Rewritten:
        """Only letters of a QWERTY keyboard have neighbours."""
        return Rewritten(*substitute(text, self.edit_budget, np.random.default_rng(seed), neighbours))
