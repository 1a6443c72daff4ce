"""Several pictures of one prompt: each is a child of its own, with a key and so a seed of its own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pipeline.stage import Resources, Stage, Step
from schemas.sample import Sample


@dataclass(frozen=True, kw_only=True)
class Replicate(Stage):
    """Fan a prompt out into `images_per_prompt` samples, children of the prompt; a seed that it came with is counted up."""

    resources: ClassVar[Resources] = Resources(cpus=0.0)
    images_per_prompt: int = 1

    @property
    def fan_out(self) -> int:
        return self.images_per_prompt

    def open(self) -> Step:
        """Nothing to load."""

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            for sample in batch:
                for index in range(self.images_per_prompt):
                    fixed = {} if sample.seed is None else {"seed": (sample.seed + index) % 2**63}
                    yield sample.derive(self.name, index, **fixed)

        return step
