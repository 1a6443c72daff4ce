"""What every attack on words shares: both prompts, the gate on what comes out, the record, and a search against a target."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from pipeline.stage import Resources, Step
from schemas.attack import AttackRecord
from schemas.device import best_device
from schemas.errors import InputError
from schemas.identity import seed_of
from schemas.protocols import Attacked, Differentiable, Inputs, SettledByPicture
from schemas.sample import READING, Sample
from stages.attack.attack_stage import AttackStage
from stages.prompts.gate import Gate

if TYPE_CHECKING:
    from torch import Tensor

AT_ONCE = 16  # tries that are judged together
KeepsTruth = Callable[[str], bool]
"""Whether a row with this text in place of its own would still be what it is, safe or unsafe."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A text and how many characters or tokens of it were changed, put in or left out."""

    text: str
    edits: int
    queries: int = 0


@dataclass(frozen=True, kw_only=True)
class TextAttack(AttackStage):
    """Gives `variants` children a prompt; the picture is to be drawn anew. `generation_prompt` changes too where it is the prompt.

    Without a target it is static. With one, up to `tries` seeds are tried and the first that gets past it is kept, else the last.
    With `keeps_truth`, which knows the row, only what leaves its truth as it is counts as getting past.
    Nothing comes out that the gate refuses, nor of a parent that it refuses (`gate` None: Hazmat's own).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"prompt", "generation_prompt"})
    adds: ClassVar[frozenset[str]] = frozenset({"prompt", "generation_prompt", "attack"})
    resources: ClassVar[Resources] = Resources()
    family: ClassVar[str] = "text"
    controls: ClassVar[str] = "prompt"
    knowledge: ClassVar[str] = "non_adaptive"
    edit_budget: int = 4
    variants: int = 1
    tries: int = 16
    gate: Gate | None = None
    keeps_truth: KeepsTruth | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.edit_budget < 0 or self.variants < 1 or self.tries < 1:
            raise InputError(f"{self!r}: edit_budget is at least 0, variants and tries at least 1")

    @abstractmethod
    def rewrite(self, text: str, seed: int) -> Rewritten:
        """The text changed within the budget; all chance from `seed`. Unchanged where there is nothing to change."""

    def open(self) -> Step:
        """Compile the gate, load the target if there is one."""
        gate = self.gate or Gate.default()
        target = None if self.target is None else self.target.load()

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            for sample in batch:
                if gate.refusal(sample.prompt) is None and gate.refusal(sample.generation_prompt) is None:
                    for index in range(self.variants):
                        yield from self._variant(sample, index, gate, target)

        return step

    def _variant(self, sample: Sample, index: int, gate: Gate, target: Differentiable | None) -> Iterator[Sample]:
        seed = seed_of(sample.key, f"{self.name} {index}")
        rewritten, record = self._made(sample, seed, target)
        if rewritten is None or rewritten.text == sample.prompt or gate.refusal(rewritten.text) is not None:
            return
        drawn = rewritten.text if sample.follows_prompt else sample.generation_prompt
        gone = dict.fromkeys(("pixels", "scene", "width", "height", "seed", *READING))
        yield self.variant(sample, index, prompt=rewritten.text, generation_prompt=drawn, attack=record, **gone)

    def _made(
        self, sample: Sample, seed: int, target: Differentiable | None
    ) -> tuple[Rewritten | None, AttackRecord | None]:
        """The variant, if this prompt is one to attack, and its record."""
        if target is None:
            rewritten = self.rewrite(sample.prompt, seed)
            return rewritten, self.record(rewritten, seed)
        inputs = as_row(sample)
        flagged = bool(margin(target, inputs)[0] > 0)
        if not self.wanted(flagged):
            return None, None
        return self.against(target, inputs, int(flagged), seed)

    def attack(self, target: Differentiable, inputs: Inputs, labels: "Tensor", keys: Sequence[str]) -> Attacked:
        """The contract's `Attack`, row by row: a row's search never depends on its company."""
        from stages.attack.victim import at_rest

        prompts, records = [], []
        with at_rest(target):
            settled = beyond_words(target, inputs, labels)
            for row, key in enumerate(keys):
                seed, label = seed_of(key, f"{self.name} 0"), int(labels[row])
                if settled[row]:
                    rewritten = Rewritten(inputs.prompts[row], 0)
                    record = self.record(rewritten, seed, target, label, achieved=False)
                else:
                    rewritten, record = self.against(target, inputs.rows([row]), label, seed)
                prompts.append(rewritten.text)
                records.append(record)
        return Attacked(replace(inputs, prompts=tuple(prompts)), tuple(records))

    def against(self, target: Differentiable, row: Inputs, label: int, seed: int) -> tuple[Rewritten, AttackRecord]:
        """One row: try seeds until the target decides against `label`, and the truth is still that."""
        rewritten = Rewritten(row.prompts[0], 0)
        if fools(margin(target, row)[0], label):
            return rewritten, self.record(replace(rewritten, queries=1), seed, target, label, achieved=True)
        # A model that reads no words says nothing of these.
        tries = self.tries if "prompt" in target.coverage.reads else 1
        for first in range(1, tries + 1, AT_ONCE):
            numbers = range(first, min(first + AT_ONCE, tries + 1))
            some = [self.rewrite(row.prompts[0], seed_of(str(seed), f"try {number}")) for number in numbers]
            batch = replace(row.rows([0] * len(some)), prompts=tuple(each.text for each in some))
            for number, rewritten, value in zip(numbers, some, margin(target, batch), strict=True):
                if fools(value, label) and (self.keeps_truth is None or self.keeps_truth(rewritten.text)):
                    return rewritten, self.record(
                        replace(rewritten, queries=1 + number), seed, target, label, achieved=True
                    )
        return rewritten, self.record(replace(rewritten, queries=1 + tries), seed, target, label, achieved=False)

    def record(
        self,
        rewritten: Rewritten,
        seed: int,
        target: Differentiable | None = None,
        label: int = 1,
        achieved: bool | None = None,
    ) -> AttackRecord:
        """The threat model as carried out."""
        return AttackRecord(
            name=self.name,
            family=self.family,
            goal=self.goal(label, target),
            knowledge="grey_box" if target is not None and self.knowledge == "non_adaptive" else self.knowledge,
            controls=self.controls,
            preserves=self.preserves,
            adaptive=target is not None,
            target=None if self.target is None else self.target.digest(),
            edit_budget=self.edit_budget,
            edits=rewritten.edits,
            queries=rewritten.queries,
            success="bypassed_and_unsafe_picture",
            achieved=achieved,
            truncated=None if target is None else target.overruns(rewritten.text),
            seed=seed,
            parameters=self.parameters(),
        )


def as_row(sample: Sample) -> Inputs:
    """One row, with the picture if it is in memory."""
    import torch

    if sample.pixels is None:
        return Inputs((sample.prompt,))
    pixels = torch.from_numpy(sample.pixels.copy()).permute(2, 0, 1)[None].to(best_device()).float() / 255
    return Inputs((sample.prompt,), pixels)


def margin(target: Differentiable, inputs: Inputs) -> "Tensor":
    """float32 [n]; flagged above 0."""
    import torch

    with torch.no_grad():
        logits = target.logits(inputs)
    return logits[:, 1] - logits[:, 0]


def beyond_words(target: Differentiable, inputs: Inputs, labels: "Tensor") -> list[bool]:
    """Of each row whether it is unsafe and the target proves it to be flagged whatever its words are (`SettledByPicture`)."""
    if inputs.pixels is None or not isinstance(target, SettledByPicture):
        return [False] * len(inputs)
    proven = target.settled_by_picture(inputs.pixels).tolist()
    return [bool(flagged) and int(label) == 1 for flagged, label in zip(proven, labels, strict=True)]


def fools(margin_: "Tensor", label: int) -> bool:
    """A margin of exactly 0 is not flagged."""
    return bool((margin_ > 0) != (label == 1))
