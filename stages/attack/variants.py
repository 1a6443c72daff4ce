"""Several attacks on the same samples, side by side: a recipe's or a round's one line for them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from pipeline.stage import Resources, Stage, Step
from schemas.errors import InputError
from schemas.sample import Sample
from stages.attack.threat import Threat


@dataclass(frozen=True, kw_only=True)
class Variants(Stage):
    """Give the children that each of `attacks` makes of a clean sample; variants are never attacked again.

    With `keep` every sample also goes on itself, as generating recipes want; a further round commits the children alone.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"prompt", "drawn_prompt"})
    adds: ClassVar[frozenset[str]] = frozenset({"attack"})
    resources: ClassVar[Resources] = Resources(cpus=1.0, accelerator=True)
    attacks: tuple[Threat, ...]
    keep: bool = False
    batch_size: int = 16

    def __post_init__(self) -> None:
        if not self.attacks:
            raise InputError("variants: name at least one attack")

    def revision(self) -> str:
        """Of all attacks."""
        return " ".join(f"{attack.name}:{attack.revision()}" for attack in self.attacks)

    def describe(self) -> dict[str, str]:
        """With the attacks' own descriptions: what a target is called does not matter, its digest does."""
        return {**super().describe(), "attacks": repr([attack.identity() for attack in self.attacks])}

    def open(self) -> Step:
        """Open every attack with this stage's shape of batches."""
        steps = [replace(attack, batch_size=self.batch_size).open() for attack in self.attacks]

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            if self.keep:
                yield from batch
            clean = [sample for sample in batch if sample.clean]
            for attack in steps if clean else ():
                yield from attack(clean)

        return step
