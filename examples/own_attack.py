"""An attack of your own: vowels left out, as in a hurried message. To keep it, put the class into stages/attack/text/NAME.py.

python examples/own_attack.py
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from schemas.prompt import Prompt
from schemas.sample import Sample
from stages.attack.letters import chosen
from stages.attack.text_attack import Rewritten, TextAttack


@dataclass(frozen=True, kw_only=True)
class NoVowels(TextAttack):
    """Leave out up to `edit_budget` vowels. The word may become another one, so its truth is read anew."""

    preserves: ClassVar[bool] = False
    edit_budget: int = 3

    def rewrite(self, text: str, seed: int) -> Rewritten:
        """Which vowels go is drawn from the seed: the same sample gets the same variant, on every machine."""
        vowels = [at for at, letter in enumerate(text) if letter in "aeiou"]
        gone = set(chosen(vowels, self.edit_budget, np.random.default_rng(seed)))
        return Rewritten("".join(letter for at, letter in enumerate(text) if at not in gone), len(gone))


def main() -> None:
    """A stage takes a batch of samples and gives its variants; the gate stands behind every text attack by itself."""
    roots = [Sample.from_prompt(Prompt(text), 0) for text in ("a dagger beside two kittens", "a red apple on a table")]
    attack = NoVowels(variants=2)
    for child in attack.open()(roots):
        parent = next(root for root in roots if root.key == child.parent)
        print(f"{parent.prompt!r} -> {child.prompt!r}  ({child.attack.edits if child.attack else 0} edits)")


if __name__ == "__main__":
    main()
