"""Letters that look like others (Unicode TR39, as confusable_homoglyphs has it; Boucher et al. 2022, "Bad Characters")."""

from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np

from stages.attack.letters import substitute
from stages.attack.text_attack import Rewritten, TextAttack
from stages.prompts.normalise import fold


@cache
def look_alikes(letter: str) -> tuple[str, ...]:
    """Single letters beyond ASCII that pass for an ASCII letter and that normalisation brings back to it."""
    from confusable_homoglyphs.confusables import confusables_data

    if len(letter) != 1 or not letter.isascii() or not letter.isalpha():
        return ()
    offered = [entry["c"] for entry in confusables_data.get(letter, ())]
    fit = (c for c in offered if len(c) == 1 and not c.isascii() and c.isalpha() and fold(c) == fold(letter))
    return tuple(sorted(set(fit)))


@dataclass(frozen=True, kw_only=True)
class Homoglyphs(TextAttack):
    """Replace up to `edit_budget` letters by look-alikes of other scripts."""

    preserves: ClassVar[bool] = True

    def rewrite(self, text: str, seed: int) -> Rewritten:
        """Letters without a look-alike stay."""
        draw = np.random.default_rng(seed)
        return Rewritten(*substitute(text, self.edit_budget, draw, lambda letter: list(look_alikes(letter))))
