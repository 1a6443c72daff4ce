"""Words that an attacker is free to send with a picture: another row's, or some exchanged at random, and their truth read anew.

Most prompts tell what the picture shows, so a classifier that learns from them reads the words and hardly looks; who then writes
other words under an unsafe picture passes. Here the label goes with what is written and shown, not with the row.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from schemas.protocols import Targets
from schemas.wording import PromptMeaning

OF_ANOTHER_ROW = 0.5  # of the reworded rows; the others keep their words but for some


SameMeaning = Callable[[str, str], bool]
Reader = Callable[[str], PromptMeaning]


@dataclass(frozen=True, eq=False)
class Rewording:
    """Other words for rows, up to `edits` of them drawn from `words`, and the truth that the rows have with them."""

    words: Sequence[str]
    edits: int
    read: Reader
    same_meaning: SameMeaning
    categories: Sequence[str]

    def __call__(self, rows: Sequence[int], prompts: Sequence[str], targets: Targets, seed: int) -> tuple[str, ...]:
        """All prompts, those of `rows` (places in `prompts`) others; `targets` of these are overwritten."""
        draw = np.random.default_rng(seed)
        reworded = list(prompts)
        for row in rows:
            another = draw.random() < OF_ANOTHER_ROW
            start = prompts[int(draw.integers(len(prompts)))] if another else prompts[row]
            reworded[row] = self._exchanged(start, draw) if not another or draw.random() < 0.5 else start
            if not self.same_meaning(prompts[row], reworded[row]):
                self._judge(targets, row, self.read(reworded[row]))
        return tuple(reworded)

    def _exchanged(self, prompt: str, draw: np.random.Generator) -> str:
        words = prompt.split()
        for place in draw.permutation(len(words))[: int(draw.integers(1, self.edits + 1))].tolist():
            words[place] = self.words[int(draw.integers(len(self.words)))]
        return " ".join(words)

    def _judge(self, targets: Targets, row: int, meaning: PromptMeaning) -> None:
        """A picture keeps its truth. A pair is unsafe where either is, safe where both are and neither can turn the other."""
        unknown = float("nan")
        words = unknown if meaning.unsafe is None else float(meaning.unsafe)
        named = torch.tensor([float(category in meaning.categories) for category in self.categories])
        shown = float(targets.unsafe["image"][row]) if "image" in targets.unsafe else unknown
        if "prompt" in targets.unsafe:
            _set(targets, "prompt", row, words, named)
        if "pair" in targets.unsafe:
            if 1.0 in (words, shown):
                seen = targets.categories["image"][row] if shown == 1.0 else torch.zeros_like(named)
                _set(targets, "pair", row, 1.0, torch.maximum(named, seen.to(named)))
            else:
                settled = words == 0.0 and shown == 0.0 and not meaning.open
                _set(targets, "pair", row, 0.0 if settled else unknown, torch.zeros_like(named))


def copied(targets: Targets) -> Targets:
    """The same, to be written on."""
    return Targets(
        {scope: value.clone() for scope, value in targets.unsafe.items()},
        {scope: value.clone() for scope, value in targets.categories.items()},
        targets.weights,
    )


def _set(targets: Targets, scope: str, row: int, unsafe: float, named: Tensor) -> None:
    targets.unsafe[scope][row] = unsafe
    targets.categories[scope][row] = named.to(targets.categories[scope])
