"""Words and pixels against every deployed stage at once (the adaptive attack on a cascade, Tramèr et al. 2020, section 3)."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from classifiers.contract import Attacked, Differentiable, Inputs, Target
from pipeline.stage import Step
from schemas.attack import AttackRecord
from schemas.errors import InputError
from schemas.identity import seed_of
from schemas.sample import Sample
from stages.attack.pgd import Climb, pgd
from stages.attack.text_attack import as_row
from stages.attack.threat import Threat
from stages.attack.token_search import Aim, Limits, search
from stages.attack.token_substitution import evasion, plain_words_of
from stages.attack.victim import LEVELS, Victim, at_rest
from stages.prompts.gate import Gate


@dataclass(frozen=True, kw_only=True)
class Joint(Threat):
    """Alternate token exchanges and PGD on the sum of margins of all `targets`, until every one lets the pair pass.

    The attacker hands in both prompt and picture: the picture is the parent's, changed within `epsilon` (L-infinity), not one drawn
    anew. A stage that passes already no longer counts in the sum. Truth is read anew, since words change.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"prompt", "drawn_prompt", "pixels"})
    adds: ClassVar[frozenset[str]] = frozenset({"prompt", "pixels", "attack"})
    family: ClassVar[str] = "joint"
    controls: ClassVar[str] = "both"
    preserves: ClassVar[bool] = False
    targets: tuple[Target, ...] = ()
    epsilon: float = 4 / 255
    edit_budget: int = 3
    rounds: int = 2
    steps: int = 10  # of PGD in each round
    question_limit: int = 200
    gate: Gate | None = None
    batch_size: int = 16

    def revision(self) -> str:
        """The targets' digests."""
        return " ".join(target.digest() for target in self.targets)

    def identity(self) -> str:
        """Targets are in by their digests, not by where they lie."""
        return f"{self.name} {self.epsilon} {self.revision()} {self.parameters()}"

    def parameters(self) -> str:
        """Without the targets, whose digests stand beside."""
        return Threat.parameters(replace(self, targets=()))

    def attack(self, target: Differentiable, inputs: Inputs, labels: Tensor, keys: Sequence[str]) -> Attacked:
        """The contract's `Attack`, on a cascade of one."""
        return self.attack_all((target,), inputs, labels, keys)

    def attack_all(
        self, targets: Sequence[Differentiable], inputs: Inputs, labels: Tensor, keys: Sequence[str]
    ) -> Attacked:
        """Row by row. Raises InputError for rows without pictures."""
        if inputs.pixels is None:
            raise InputError("joint attacks change pictures too, and these rows have none")
        with ExitStack() as rest:
            for target in targets:
                rest.enter_context(at_rest(target))
            made = [
                self._row(targets, inputs.rows([row]), int(labels[row]), seed_of(key, self.name))
                for row, key in enumerate(keys)
            ]
        pixels = torch.cat([row.pixels for row, _ in made if row.pixels is not None])
        changed = replace(inputs, prompts=tuple(row.prompts[0] for row, _ in made), pixels=pixels)
        return Attacked(changed, tuple(record for _, record in made))

    def _row(
        self, targets: Sequence[Differentiable], row: Inputs, label: int, seed: int
    ) -> tuple[Inputs, AttackRecord]:
        clean, start, edits, asked = row.pixels, row.prompts[0], 0, 0
        assert clean is not None
        reading = [target for target in targets if "prompt" in target.coverage.reads]
        seeing = any("image" in target.coverage.reads for target in targets)
        victim = self._victim(targets, row, clean, label)
        for _ in range(self.rounds):
            if self._passes(targets, row, label):
                break
            if reading and edits < self.edit_budget:
                limits = Limits(tokens=self.edit_budget - edits, top=16, questions=self.question_limit)
                aim = _sum_of(targets, reading, row, label)
                found = search(reading[0], row.prompts[0], aim, plain_words_of(reading[0]), limits)
                edits, asked = edits + found.edits, asked + found.questions
                row = replace(row, prompts=(found.text,))
            if seeing and self.epsilon > 0 and not self._passes(targets, row, label):
                victim = self._victim(targets, row, clean, label)
                pixels = pgd(victim, self.epsilon, [seed], Climb(steps=self.steps, random_start=False))
                row = replace(row, pixels=victim.stored(pixels, victim.everyone()))
                asked += int(victim.queries[0])
        assert row.pixels is not None
        record = AttackRecord(
            name=self.name,
            family=self.family,
            goal="evade_joint" if label == 1 else "false_flag",
            knowledge=self.knowledge,
            controls=self.controls,
            preserves=row.prompts[0] == start,
            adaptive=True,
            target=self.revision() or None,
            norm="linf",
            epsilon=self.epsilon,
            distance=float((row.pixels - clean).abs().max()),
            edit_budget=self.edit_budget,
            edits=edits,
            queries=asked,
            success="bypassed_and_preserved",
            achieved=self._passes(targets, row, label),
            truncated=any(target.overruns(row.prompts[0]) for target in reading),
            seed=seed,
            parameters=self.parameters(),
        )
        return row, record

    def _victim(self, targets: Sequence[Differentiable], row: Inputs, clean: Tensor, label: int) -> Victim:
        def margins(pixels: Tensor, rows: Tensor) -> Tensor:
            return cascade_margins(targets, replace(row, pixels=pixels))

        return Victim(margins, clean, torch.tensor([label]), tile=1, as_stored=True)

    def _passes(self, targets: Sequence[Differentiable], row: Inputs, label: int) -> bool:
        with torch.no_grad():
            flagged = bool((cascade_margins(targets, row) > 0).any())
        return flagged != (label == 1)

    def open(self) -> Step:
        """Load all targets and compile the gate. Raises InputError without a target."""
        if not self.targets:
            raise InputError("joint works against classifiers; give it targets (--against models/A,models/B)")
        loaded = [target.load() for target in self.targets]
        gate = self.gate or Gate.default()

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            for sample in batch:
                row = as_row(sample)
                with torch.no_grad():
                    label = int((cascade_margins(loaded, row) > 0).any())
                if not self.wanted(bool(label)) or gate.refusal(sample.prompt) is not None:
                    continue
                made = self.attack_all(loaded, row, torch.tensor([label]), [sample.key])
                text = made.inputs.prompts[0]
                if gate.refusal(text) is None:
                    yield self._child(sample, text, made)

        return step

    def _child(self, sample: Sample, text: str, made: Attacked) -> Sample:
        """The judged prompt and the picture change; what the generator saw stays, since nothing is drawn anew."""
        assert made.inputs.pixels is not None
        levels = (made.inputs.pixels[0] * LEVELS).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
        return self.variant(sample, prompt=text, pixels=np.ascontiguousarray(levels), attack=made.records[0])


def cascade_margins(targets: Sequence[Differentiable], inputs: Inputs) -> Tensor:
    """[n, targets]; each flags above 0."""
    logits = [target.logits(inputs) for target in targets]
    return torch.stack([each[:, 1] - each[:, 0] for each in logits], dim=1)


def _sum_of(targets: Sequence[Differentiable], reading: Sequence[Differentiable], row: Inputs, label: int) -> Aim:
    """The cascade's aim for words: exact over all stages; the gradient over those that share the first one's tokens."""
    shape = reading[0].embedding_table().shape
    alike = [evasion(target, row, label) for target in reading if target.embedding_table().shape == shape]

    def values(texts: list[str]) -> Tensor:
        found = []
        for text in texts:
            with torch.no_grad():
                margins = cascade_margins(targets, replace(row, prompts=(text,)))[0]
            # As in `Victim`: a stage that is silent by a margin of 1 counts no more; a false flag needs one stage.
            found.append(-margins.clamp(min=-1.0).sum() if label == 1 else margins.max())
        return torch.stack(found)

    def slope(text: str, ids: Tensor) -> Tensor:
        return torch.stack([aim.slope(text, ids) for aim in alike]).sum(dim=0)

    enough = float(len(targets)) if label == 1 else 1e-6
    return Aim(values, slope, lambda value: value >= enough)
