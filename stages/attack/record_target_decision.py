"""What classifiers decide of samples: before an attack it says whom to attack, after it what came of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from pipeline.stage import Resources, Stage, Step
from pipeline.storage.image_codec import decode
from schemas.errors import InputError
from schemas.protocols import Differentiable, Target
from schemas.sample import Sample
from stages.attack.text_attack import as_row, margin


@dataclass(frozen=True, kw_only=True)
class RecordTargetDecision(Stage):
    """Write into each variant's record whether `targets` decide otherwise than for its parent, on the words and picture as stored.

    Needed where that cannot be known when the variant is made: the picture of a text variant is drawn after its words, and
    an attack that asks no classifier has not asked. Stands behind `Encode`, so that what a lossy file loses counts.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"prompt", "attack", "encoded", "format"})
    adds: ClassVar[frozenset[str]] = frozenset({"attack"})
    resources: ClassVar[Resources] = Resources(cpus=1.0, accelerator=True)
    targets: tuple[Target, ...]

    def __post_init__(self) -> None:
        if not self.targets:
            raise InputError("decided: name at least one classifier (--against models/NAME)")

    def revision(self) -> str:
        """The targets' digests."""
        return digests(self.targets)

    def describe(self) -> dict[str, str]:
        """Targets are in by their digests, not by where they lie."""
        return {name: text for name, text in super().describe().items() if name != "targets"}

    def open(self) -> Step:
        """Load the targets."""
        loaded = [target.load() for target in self.targets]

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            for sample in batch:
                record = sample.attack
                if record is None:  # not attacked: nothing was to be achieved
                    yield sample
                    continue
                turned = flagged(loaded, _as_stored(sample)) == (record.goal == "false_flag")
                yield sample.with_(attack=replace(record, achieved=turned))

        return step


def flagged(targets: Sequence[Differentiable], sample: Sample) -> bool:
    """Whether any of them flags it. Alone, so that the decision does not hang on its company, not even in its last bit."""
    from stages.attack.victim import at_rest  # torch: a recipe that only names a stage need not wait for it

    row = as_row(sample)
    for target in targets:
        with at_rest(target):
            if bool(margin(target, row)[0] > 0):
                return True
    return False


def digests(targets: Sequence[Target]) -> str:
    """Of all targets, as they stand in `AttackRecord.target`."""
    return " ".join(target.digest() for target in targets)


def _as_stored(sample: Sample) -> Sample:
    assert sample.encoded is not None and sample.format is not None
    return sample.with_(pixels=decode(sample.encoded, sample.format))
