"""Where a run's prompts come from: a file, or the grammar or the vocabulary; past the gate, and as root samples."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from schemas.prompt import Prompt
from schemas.run import RunConfig
from schemas.sample import Sample
from stages.prompts.files import read_prompts
from stages.prompts.gate import Gate
from stages.prompts.intake import Intake
from stages.prompts.vocabulary import world_prompts
from stages.world.grammar import prompts as grammar_prompts

GRAMMAR_COUNT = 256  # prompts made where neither a file nor a count is given


@dataclass
class Roots:
    """The root samples of a run; iterating again gives the same ones. `counts` says what the last pass left out, and why."""

    config: RunConfig
    gate: Gate
    counts: dict[str, int] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Sample]:
        intake = Intake(self.gate)
        self.counts = intake.counts
        for prompt in islice(intake.admit(self._prompts()), self.config.count):
            yield Sample.from_prompt(prompt, self.config.seed)

    def _prompts(self) -> Iterator[Prompt]:
        if self.config.prompts is None and self.config.recipe == "rewrite":  # what a language model is to write out
            yield from world_prompts(self.config.count or GRAMMAR_COUNT)
        elif self.config.prompts is None:
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
        else:
            yield from read_prompts(self.config.prompts, column=self.config.column)


def roots(config: RunConfig) -> Roots:
    """The run's root samples, past the default gate."""
    return Roots(config, Gate.default())
