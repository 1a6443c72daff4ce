"""Let certain samples pass and no others."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.stage import Stage, Step
from schemas.sample import Sample


@dataclass(frozen=True, kw_only=True)
class Only(Stage):
    """Pass the samples whose keys are named; `keys` is sorted, so that equal sets are equal plans."""

    keys: tuple[str, ...]

    def open(self) -> Step:
        """Nothing to load."""
        wanted = frozenset(self.keys)

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            return (sample for sample in batch if sample.key in wanted)

        return step
