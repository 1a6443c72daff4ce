"""Several attacks on the same samples, side by side: a recipe's or a round's one line for them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from pipeline.stage import Resources, Stage, Step
from schemas.errors import InputError
from schemas.protocols import Differentiable, Target
from schemas.sample import Sample
from stages.attack.attack_stage import AIMS, AttackStage
from stages.attack.record_target_decision import digests, flagged


@dataclass(frozen=True, kw_only=True)
class Variants(Stage):
    """Give the children that each of `attacks` makes of a clean sample; variants are never attacked again.

    With `keep` every sample also goes on itself, as generating recipes want; a further round commits the children alone.
    With `targets` only what they together flag (or let pass, see `aim`) is attacked, also by attacks that ask nobody, and the
    records say so; whether it was `achieved` says `RecordTargetDecision`, behind the picture.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"prompt", "generation_prompt"})
    adds: ClassVar[frozenset[str]] = frozenset({"attack"})
    resources: ClassVar[Resources] = Resources(cpus=1.0, accelerator=True)
    attacks: tuple[AttackStage, ...]
    keep: bool = False
    targets: tuple[Target, ...] = ()
    aim: str = "evade"
    batch_size: int = 16

    def __post_init__(self) -> None:
        if self.aim not in AIMS:
            raise InputError(f"variants: aim is {self.aim!r}; expected one of {', '.join(AIMS)}")
        if not self.attacks:
            raise InputError("variants: name at least one attack")

    def revision(self) -> str:
        """Of all attacks and targets."""
        own = [f"{attack.name}:{attack.revision()}" for attack in self.attacks]
        return " ".join([*own, *([digests(self.targets)] if self.targets else [])])

    def describe(self) -> dict[str, str]:
        """With the attacks' own descriptions: what a target is called does not matter, its digest does."""
        described = {**super().describe(), "attacks": repr([attack.identity() for attack in self.attacks])}
        return {name: text for name, text in described.items() if name != "targets"}

    def open(self) -> Step:
        """Open every attack with this stage's shape of batches."""
        steps = [replace(attack, batch_size=self.batch_size).open() for attack in self.attacks]
        targets = [target.load() for target in self.targets]
        aimed_at = digests(self.targets) or None

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            if self.keep:
                yield from batch
            clean = [sample for sample in batch if sample.clean]
            flagged_of = {sample.key: flagged(targets, sample) for sample in clean} if targets else {}
            wanted = [
                s for s in clean if not targets or self.aim == "both" or flagged_of[s.key] == (self.aim == "evade")
            ]
            for attack in steps if wanted else ():
                for child in attack(wanted):
                    yield _told(child, targets, flagged_of, aimed_at) if targets else child

        return step


def _told(
    child: Sample, targets: Sequence[Differentiable], flagged_of: Mapping[str, bool], aimed_at: str | None
) -> Sample:
    """The child with whom it was aimed at in its record."""
    reads = frozenset().union(*(target.coverage.reads for target in targets))
    evading = {frozenset({"prompt"}): "evade_text", frozenset({"image"}): "evade_image"}.get(reads, "evade_joint")
    assert child.attack is not None
    goal = evading if flagged_of[child.parent or ""] else "false_flag"
    return child.with_(attack=replace(child.attack, goal=goal, target=aimed_at))
