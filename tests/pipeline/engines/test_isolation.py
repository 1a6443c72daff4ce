"""A sample that raises in a child process comes back with its reason."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.engines.isolation import Raised, isolated
from pipeline.stage import BadSamplesError, Stage, Step
from schemas.prompt import Prompt
from schemas.sample import Sample


@dataclass(frozen=True, kw_only=True)
class BlamesAll(Stage):
    """Blames every sample that it is given."""

    def open(self) -> Step:
        def step(batch: Sequence[Sample]) -> list[Sample]:
            raise BadSamplesError({sample.key: "no good" for sample in batch})

        return step


def test_what_raises_in_the_child_is_told_to_the_parent() -> None:
    sample = Sample.from_prompt(Prompt("a key"), 0)
    assert [result for _, result in isolated(BlamesAll(), [sample])] == [Raised("BadSamplesError", "no good")]
