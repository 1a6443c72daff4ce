"""Where a run's prompts come from: a file, or the grammar; past the gate, and as root samples."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from stages.prompts.files import read_prompts
from stages.prompts.gate import Gate
from stages.prompts.intake import Intake

from schemas.prompt import Prompt
from schemas.run import RunConfig
from schemas.sample import Sample
from stages.world.grammar import prompts as grammar_prompts

GRAMMAR_COUNT = 256  # prompts made where neither a file nor a count is given


@dataclass
class Roots:
    """The root samples of a run; iterating again gives the same ones. `intake` counts the last iteration."""

    config: RunConfig
    intake: Intake

    def __iter__(self) -> Iterator[Sample]:
        self.intake.reset()
        for prompt in islice(self.intake.admit(self._prompts()), self.config.count):
            yield Sample.from_prompt(prompt, self.config.seed)

    def _prompts(self) -> Iterator[Prompt]:
        if self.config.prompts is None:
            for made in grammar_prompts(self.config.seed, self.config.count or GRAMMAR_COUNT):
                yield Prompt(
                    text=made.prompt,
                    drawn_text=made.drawn_prompt,
                    language="en",
                    source=f"grammar/{made.kind}",
                    licence="Apache-2.0",
                    category=made.category,
                    label=made.label,
                )
            return
        yield from read_prompts(self.config.prompts, column=self.config.column)


def roots(config: RunConfig) -> Roots:
    """The run's root samples, with a fresh count of what was refused at the door."""
    return Roots(config, Intake(Gate.default()))
