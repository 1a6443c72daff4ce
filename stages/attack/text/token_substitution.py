"""Words exchanged where the classifier's own gradient says it hurts (HotFlip and GCG, on a safety classifier)."""

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


@dataclass(frozen=True, kw_only=True)
class TokenSubstitution(TextAttack):
    """Exchange up to `edit_budget` tokens against a classifier that reads the prompt. Needs a target; truth is read anew."""

    preserves: ClassVar[bool] = False
    knowledge: ClassVar[str] = "white_box"
    resources: ClassVar[Resources] = Resources(cpus=1.0, accelerator=True)
    edit_budget: int = 3
    top: int = 24
    query_budget: int = 400

    def rewrite(self, text: str, seed: int) -> Rewritten:
        """Raises InputError: without a classifier there is no gradient."""
        raise InputError("token_substitution works against a classifier; give it a target (--against models/NAME)")

    def against(self, target: Differentiable, row: Inputs, label: int, seed: int) -> tuple[Rewritten, AttackRecord]:
        """One row, greedily; nothing is drawn, so `seed` only goes into the record."""
        if "prompt" not in target.coverage.reads:
            raise InputError(f"{self.name} changes words, and {target.name} reads {sorted(target.coverage.reads)}")
        limits = Limits(tokens=self.edit_budget, top=self.top, queries=self.query_budget)
        found = search(target, row.prompts[0], decision_aim(target, row, label), plain_words_of(target), limits)
        made = Rewritten(found.text, found.edits, found.queries)
        achieved = fools(margin(target, replace(row, prompts=(found.text,)))[0], label)
        return made, self.record(made, seed, target, label, achieved)


def decision_aim(target: Differentiable, row: Inputs, label: int) -> Aim:
    """To move the target's margin away from `label`, with all else of the row as it is."""
    sign = -1.0 if label == 1 else 1.0

    def values(texts: list[str]) -> Tensor:
        """Text by text: a margin must not hang on what else is tried, not even in its last bit."""
        return torch.stack([sign * margin(target, replace(row, prompts=(text,)))[0] for text in texts])

    def slope(text: str, ids: Tensor) -> Tensor:
        with torch.enable_grad():
            at = target.embedding_table()[ids].clone().requires_grad_(True)
            logits = target.logits(replace(row, prompts=(text,)), at)
            (found,) = torch.autograd.grad(sign * (logits[:, 1] - logits[:, 0]).sum(), at)
        return found[0]

    return Aim(values, slope, lambda value: value >= 0 if label == 1 else value > 0)


_WORDS: dict[int, tuple[object, Tensor]] = {}


def plain_words_of(target: Differentiable) -> Tensor:
    """`plain_words`, once a loaded model: a vocabulary takes a second a few thousand tokens."""
    known = _WORDS.get(id(target))
    if known is None or known[0] is not target:
        known = _WORDS[id(target)] = (target, plain_words(target))
    return known[1]
