"""The gate as a stage: behind whatever writes prompts on the way (language models, attacks)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipeline.stage import Stage, Step
from schemas.sample import Sample
from stages.prompts.gate import Gate


@dataclass(frozen=True, kw_only=True)
class Gated(Stage):
    """Drop samples of which the gate refuses either text; the receipt's count is all that is left of them.

    `people` is a file of real persons' names that are refused too.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"prompt", "generation_prompt"})
    people: Path | None = None

    def revision(self) -> str:
        """The version of the gate's terms, with a digest of the names."""
        gate = Gate.default(self.people)
        return f"{gate.version} {len(gate.people)} names" if gate.people else gate.version

    def open(self) -> Step:
        """Compile the gate."""
        gate = Gate.default(self.people)

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            for sample in batch:
                if all(gate.refusal(text) is None for text in {sample.prompt, sample.generation_prompt}):
                    yield sample

        return step
