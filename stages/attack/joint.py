"""Words and pixels against every deployed stage at once (the adaptive attack on a cascade, Tramèr et al. 2020, section 3)."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from pipeline.stage import Step
from schemas.attack import AttackRecord
from schemas.errors import InputError
from schemas.identity import seed_of
from schemas.protocols import Attacked, Differentiable, Inputs, Staged, Target
from schemas.sample import Sample
from stages.attack.attack_stage import AttackStage
from stages.attack.joint_search import Margins, Tries
from stages.attack.pixel_attack import refuse_below_a_level
from stages.attack.text_attack import KeepsTruth, as_row
from stages.attack.victim import LEVELS, at_rest
from stages.prompts.gate import Gate


@dataclass(frozen=True, kw_only=True)
class Joint(AttackStage):
    """Alternate token exchanges and PGD on the sum of margins of all `targets`, until every one lets the pair pass.

    The attacker hands in both prompt and picture: the picture is the parent's, changed within `epsilon` (L-infinity), not one drawn
    anew. A stage that passes already no longer counts in the sum. Truth is read anew, since words change.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"prompt", "generation_prompt", "pixels"})
    adds: ClassVar[frozenset[str]] = frozenset({"prompt", "pixels", "attack"})
    family: ClassVar[str] = "joint"
    controls: ClassVar[str] = "both"
    preserves: ClassVar[bool] = False
    targets: tuple[Target, ...] = ()
    epsilon: float = 4 / 255
    edit_budget: int = 3
    rounds: int = 2
    steps: int = 10  # of PGD, or of APGD, in each round
    climber: str = "pgd"
    restarts: int = 1  # from a random picture within the budget, until one gets past
    query_budget: int = 200  # of the words, in each round
    beam: int = 1
    patience: int = 1
    insert: bool = False
    gate: Gate | None = None
    keeps_truth: KeepsTruth | None = field(default=None, compare=False, repr=False)
    batch_size: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_below_a_level(self.name, self.epsilon)
        if self.climber not in ("pgd", "apgd") or min(self.rounds, self.restarts, self.steps) < 1:
            raise InputError(f"{self!r}: climber is pgd or apgd, and rounds, restarts and steps are at least 1")

    def revision(self) -> str:
        """The targets' digests."""
        return " ".join(target.digest() for target in self.targets)

    def identity(self) -> str:
        """Targets are in by their digests, not by where they lie."""
        return f"{self.name} {self.epsilon} {self.revision()} {self.parameters()}"

    def parameters(self) -> str:
        """Without the targets, whose digests stand beside."""
        return AttackStage.parameters(replace(self, targets=()))

    def attack(self, target: Differentiable, inputs: Inputs, labels: Tensor, keys: Sequence[str]) -> Attacked:
        """The contract's `Attack`: on the decision, and on every stage at once where that is not enough and there are several."""
        attacked = self.attack_all((target,), inputs, labels, keys)
        left = [row for row, record in enumerate(attacked.records) if not record.achieved]
        if not left or not isinstance(target, Staged):
            return attacked
        with at_rest(target):
            staged = self._rows(
                (target,), target.stage_margins, inputs.rows(left), labels[left], [keys[row] for row in left]
            )
            with torch.no_grad():
                flagged = (cascade_margins((target,), staged.inputs)[:, 0] > 0).tolist()
        rows, records = [attacked.inputs.rows([row]) for row in range(len(keys))], list(attacked.records)
        for place, row in enumerate(left):
            achieved = flagged[place] != (int(labels[row]) == 1)
            queries = (records[row].queries or 0) + (staged.records[place].queries or 0)
            if achieved:
                rows[row], records[row] = staged.inputs.rows([place]), staged.records[place]
            records[row] = replace(records[row], achieved=achieved, queries=queries)
        return Attacked(_joined(inputs, rows), tuple(records))

    def attack_all(
        self, targets: Sequence[Differentiable], inputs: Inputs, labels: Tensor, keys: Sequence[str]
    ) -> Attacked:
        """Row by row. Raises InputError for rows without pictures."""

        def margins(rows: Inputs, embeddings: Tensor | None = None) -> Tensor:
            return cascade_margins(targets, rows, embeddings)

        with ExitStack() as rest:
            for target in targets:
                rest.enter_context(at_rest(target))
            return self._rows(targets, margins, inputs, labels, keys)

    def _rows(
        self, targets: Sequence[Differentiable], margins: Margins, inputs: Inputs, labels: Tensor, keys: Sequence[str]
    ) -> Attacked:
        if inputs.pixels is None:
            raise InputError("joint attacks change pictures too, and these rows have none")
        attacked = [
            self._row(targets, margins, inputs.rows([row]), int(labels[row]), seed_of(key, self.name))
            for row, key in enumerate(keys)
        ]
        return Attacked(_joined(inputs, [row for row, _ in attacked]), tuple(record for _, record in attacked))

    def _row(
        self, targets: Sequence[Differentiable], margins: Margins, row: Inputs, label: int, seed: int
    ) -> tuple[Inputs, AttackRecord]:
        clean, start = row.pixels, row.prompts[0]
        assert clean is not None
        tries = Tries(self, targets, margins, clean, label)
        for restart in range(self.restarts):
            tries.alternate(row, seed_of(str(seed), f"restart {restart}") if restart else seed, restart)
            if tries.passed:
                break
        row, edits, queries = tries.best, tries.edits, tries.queries
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
            queries=queries,
            success="bypassed_and_preserved",
            achieved=tries.passed,
            truncated=any(target.overruns(row.prompts[0]) for target in tries.reading),
            seed=seed,
            parameters=self.parameters(),
        )
        return row, record

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
                attacked = self.attack_all(loaded, row, torch.tensor([label]), [sample.key])
                text = attacked.inputs.prompts[0]
                if gate.refusal(text) is None:
                    yield self._child(sample, text, attacked)

        return step

    def _child(self, sample: Sample, text: str, attacked: Attacked) -> Sample:
        """The judged prompt and the picture change; what the generator saw stays, since nothing is drawn anew."""
        assert attacked.inputs.pixels is not None
        levels = (attacked.inputs.pixels[0] * LEVELS).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
        return self.variant(sample, prompt=text, pixels=np.ascontiguousarray(levels), attack=attacked.records[0])


def cascade_margins(targets: Sequence[Differentiable], inputs: Inputs, embeddings: Tensor | None = None) -> Tensor:
    """[n, targets]; each flags above 0. `embeddings` are of the first target that reads, and of those that share its tokens."""
    reading = next((target for target in targets if "prompt" in target.coverage.reads), None)
    logits = [
        target.logits(inputs, embeddings if reading is not None and _alike(target, reading) else None)
        for target in targets
    ]
    return torch.stack([each[:, 1] - each[:, 0] for each in logits], dim=1)


def _alike(one: Differentiable, other: Differentiable) -> bool:
    reads = "prompt" in one.coverage.reads
    return reads and (one is other or one.embedding_table().shape == other.embedding_table().shape)


def _joined(inputs: Inputs, rows: Sequence[Inputs]) -> Inputs:
    """`inputs` with the prompts and pictures of `rows`, one each."""
    pixels = torch.cat([row.pixels for row in rows if row.pixels is not None])
    return replace(inputs, prompts=tuple(row.prompts[0] for row in rows), pixels=pixels)
