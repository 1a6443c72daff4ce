"""What character recognition takes for something else."""

import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from stages.attack.letters import chosen
from stages.attack.text_attack import Rewritten, TextAttack

# Pairs that print alike at low resolution, both ways; longer ones first, so that "rn" is seen before "r".
CONFUSED = (
    ("rn", "m"), ("cl", "d"), ("vv", "w"), ("li", "h"), ("ii", "u"), ("m", "rn"), ("d", "cl"), ("w", "vv"), ("h", "b"),
    ("e", "c"), ("l", "1"), ("o", "0"), ("g", "q"), ("t", "f"), ("u", "v"), ("s", "5"),
)  # fmt: skip
_SEEN = re.compile("|".join(re.escape(old) for old, _ in CONFUSED))
_TAKEN_FOR = dict(CONFUSED)


@dataclass(frozen=True, kw_only=True)
class Misread(TextAttack):
    """Replace up to `edit_budget` letters or pairs as a reader of scans would. Truth is read anew."""

    preserves: ClassVar[bool] = False
    edit_budget: int = 2

    def rewrite(self, text: str, seed: int) -> Rewritten:
        """Small letters only: in capitals other pairs look alike."""
        draw = np.random.default_rng(seed)
        seen = list(_SEEN.finditer(text))
        picked = chosen(list(range(len(seen))), self.edit_budget, draw)
        for index in reversed(picked):
            start, end = seen[index].span()
            text = text[:start] + _TAKEN_FOR[text[start:end]] + text[end:]
        return Rewritten(text, len(picked))
