"""The search of the joint attack on one row: words and pixels by turns, on the margins of every deployed stage at once."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from schemas.identity import seed_of
from schemas.protocols import Differentiable, Inputs
from stages.attack.pixel_attack import hopeless
from stages.attack.pixels.apgd import apgd
from stages.attack.pixels.pgd import PGDConfig, pgd, random_start
from stages.attack.text.token_substitution import plain_words_of, tiled
from stages.attack.token_search import Aim, Found, Limits, search
from stages.attack.victim import Victim

if TYPE_CHECKING:
    from stages.attack.joint import Joint

Margins = Callable[[Inputs, Tensor | None], Tensor]
"""Rows, and embeddings that stand for those of their tokens where given → [n, stages]; each flags above 0."""


class Tries:
    """The restarts on one row, and the best pair that they came to: one that passes, else the one of the least margins."""

    def __init__(
        self, attack: "Joint", targets: Sequence[Differentiable], margins: Margins, clean: Tensor, label: int
    ) -> None:
        self.attack, self.margins, self.clean, self.label = attack, margins, clean, label
        self.reading = [target for target in targets if "prompt" in target.coverage.reads]
        self.seeing = any("image" in target.coverage.reads for target in targets) and attack.epsilon > 0
        self.queries, self.edits, self.passed, self.value = 0, 0, False, float("-inf")
        self.best: Inputs

    def alternate(self, row: Inputs, seed: int, restart: int) -> None:
        """Words, pixels, words, … in `rounds`, each going on where the last one of its kind ended."""
        if restart and self.seeing:
            victim = bound(self.margins, row, self.clean, self.label)
            row = replace(row, pixels=random_start(victim, self.attack.epsilon, [seed], restart))
        touched: Tensor | None = None
        self._keep(row, 0)
        for number in range(self.attack.rounds):
            if self.passed:
                return
            if self.reading and self.attack.edit_budget:
                edited = self._words(row, touched, seed_of(str(seed), f"round {number}"))
                row, touched = replace(row, prompts=(edited.text,)), edited.touched
                self.queries += edited.queries
                self._keep(row, edited.edits)
            if self.seeing and not self.passed and not self._settled(row):
                row = self._pixels(row, seed)
                self._keep(row, 0 if touched is None else int(touched.sum()))

    def _words(self, row: Inputs, touched: Tensor | None, seed: int) -> Found:
        one = self.attack
        limits = Limits(
            tokens=one.edit_budget, top=16, queries=one.query_budget, beam=one.beam, patience=one.patience, insert=one.insert
        )  # fmt: skip
        reader, aim = self.reading[0], _aim(self.reading[0], self.margins, row, self.label)
        words = plain_words_of(reader)
        return search(
            reader, row.prompts[0], aim, words, limits, keeps_truth=one.keeps_truth, touched=touched, seed=seed
        )  # fmt: skip

    def _settled(self, row: Inputs) -> bool:
        """Whether one of the targets flags by the words alone, whatever the picture is: then words have to move first."""
        label = torch.tensor([self.label])
        return any(bool(hopeless(target, row.prompts, label)[0]) for target in self.reading)

    def _pixels(self, row: Inputs, seed: int) -> Inputs:
        victim = bound(self.margins, row, self.clean, self.label)
        if self.attack.climber == "apgd":
            pixels = apgd(victim, self.attack.epsilon, steps=self.attack.steps, start=row.pixels)
        else:
            config = PGDConfig(steps=self.attack.steps, random_start=False)
            pixels = pgd(victim, self.attack.epsilon, [seed], config)
        stored = victim.stored(pixels, victim.all_rows())
        self.queries += int(victim.queries[0])
        return replace(row, pixels=stored)

    def _keep(self, row: Inputs, edits: int) -> None:
        victim = bound(self.margins, row, self.clean, self.label)
        assert row.pixels is not None
        stored = victim.stored(row.pixels, victim.all_rows())
        loss, _ = victim.loss(stored, victim.all_rows())
        row = replace(row, pixels=stored)
        passed, value = passes(self.margins, row, self.label), float(loss[0])
        if (passed, value) > (self.passed, self.value):
            self.best, self.edits, self.passed, self.value = row, edits, passed, value


def bound(margins: Margins, row: Inputs, clean: Tensor, label: int) -> Victim:
    def of_pixels(pixels: Tensor, rows: Tensor) -> Tensor:
        return margins(replace(row, pixels=pixels), None)

    return Victim(of_pixels, clean, torch.tensor([label]), tile=1, as_stored=True)


def passes(margins: Margins, row: Inputs, label: int) -> bool:
    with torch.no_grad():
        flagged = bool((margins(row, None) > 0).any())
    return flagged != (label == 1)


def _aim(reading: Differentiable, margins: Margins, row: Inputs, label: int) -> Aim:
    """What words are to bring about over all stages."""

    def value(inputs: Inputs, embeddings: Tensor | None = None) -> Tensor:
        # As in `Victim`: a stage that is silent by a margin of 1 counts no more; a false flag needs one stage.
        stages = margins(inputs, embeddings)
        return -stages.clamp(min=-1.0).sum(dim=1) if label == 1 else stages.amax(dim=1)

    def slope(text: str, ids: Tensor) -> Tensor:
        with torch.enable_grad():
            at = reading.embedding_table()[ids].clone().requires_grad_(True)
            (gradient,) = torch.autograd.grad(value(replace(row, prompts=(text,)), at).sum(), at)
        return gradient[0]

    with torch.no_grad():
        stages = margins(row, None).shape[1]
    enough = float(stages) if label == 1 else 1e-6
    return Aim(tiled(row, torch.no_grad()(value)), slope, lambda reached: reached >= enough)
