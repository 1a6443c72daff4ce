"""Words exchanged or put in where the classifier's own gradient says it hurts (HotFlip and GCG, on a safety classifier)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from pipeline.stage import Resources
from schemas.attack import AttackRecord
from schemas.errors import InputError
from schemas.protocols import Differentiable, Inputs
from stages.attack.text_attack import Rewritten, TextAttack, fools, margin
from stages.attack.token_search import Aim, Limits, plain_words, search

TILE = 16  # texts that are scored at once, in this fixed shape: what a text gets does not hang on how many others are tried


@dataclass(frozen=True, kw_only=True)
class TokenSubstitution(TextAttack):
    """Exchange up to `edit_budget` tokens, or put them in (`insert`), against a classifier that reads the prompt.

    Needs a target; truth is read anew. `beam`, `restarts` and `patience` as in `token_search.Limits`: the defaults are plain greedy
    search, quick enough for training data; the evaluator's suite asks for more.
    """

    preserves: ClassVar[bool] = False
    knowledge: ClassVar[str] = "white_box"
    resources: ClassVar[Resources] = Resources(cpus=1.0, accelerator=True)
    edit_budget: int = 3
    top: int = 24
    query_budget: int = 400
    beam: int = 1
    restarts: int = 1
    patience: int = 1
    insert: bool = False

    def rewrite(self, text: str, seed: int) -> Rewritten:
        """Raises InputError: without a classifier there is no gradient."""
        raise InputError("token_substitution works against a classifier; give it a target (--against models/NAME)")

    def limits(self) -> Limits:
        """Of the search."""
        return Limits(
            tokens=self.edit_budget, top=self.top, queries=self.query_budget, beam=self.beam, restarts=self.restarts,
            patience=self.patience, insert=self.insert,
        )  # fmt: skip

    def against(self, target: Differentiable, row: Inputs, label: int, seed: int) -> tuple[Rewritten, AttackRecord]:
        """One row; restarts are drawn from `seed`."""
        if "prompt" not in target.coverage.reads:
            raise InputError(f"{self.name} changes words, and {target.name} reads {sorted(target.coverage.reads)}")
        aim, words = decision_aim(target, row, label), plain_words_of(target)
        best = search(
            target, row.prompts[0], aim, words, self.limits(), keeps_truth=self.keeps_truth, seed=seed
        )  # fmt: skip
        rewritten = Rewritten(best.text, best.edits, best.queries)
        achieved = fools(margin(target, replace(row, prompts=(best.text,)))[0], label)
        return rewritten, self.record(rewritten, seed, target, label, achieved)


def decision_aim(target: Differentiable, row: Inputs, label: int) -> Aim:
    """To move the target's margin away from `label`, with all else of the row as it is."""
    sign = -1.0 if label == 1 else 1.0

    def slope(text: str, ids: Tensor) -> Tensor:
        with torch.enable_grad():
            at = target.embedding_table()[ids].clone().requires_grad_(True)
            logits = target.logits(replace(row, prompts=(text,)), at)
            (gradient,) = torch.autograd.grad(sign * (logits[:, 1] - logits[:, 0]).sum(), at)
        return gradient[0]

    values = tiled(row, lambda inputs: sign * margin(target, inputs))
    return Aim(values, slope, lambda value: value >= 0 if label == 1 else value > 0)


def tiled(row: Inputs, value: Callable[[Inputs], Tensor]) -> Callable[[list[str]], Tensor]:
    """Values of the row with each of some texts: alone where it is one, else in tiles of TILE, filled up with the first."""

    def values(texts: list[str]) -> Tensor:
        size = 1 if len(texts) == 1 else TILE
        margins = []
        for first in range(0, len(texts), size):
            part = texts[first : first + size]
            filled = (*part, *part[:1] * (size - len(part)))
            margins.append(value(replace(row.rows([0] * size), prompts=filled))[: len(part)])
        return torch.cat(margins)

    return values


_WORDS: dict[int, tuple[object, Tensor]] = {}


def plain_words_of(target: Differentiable) -> Tensor:
    """`plain_words`, once a loaded model: a vocabulary takes a second a few thousand tokens."""
    known = _WORDS.get(id(target))
    if known is None or known[0] is not target:
        known = _WORDS[id(target)] = (target, plain_words(target))
    return known[1]
