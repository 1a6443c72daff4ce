"""The pictogram world's grammar as a source of prompts."""

from collections.abc import Iterator
from dataclasses import dataclass

from schemas.prompt import Prompt
from stages.world.grammar import prompts

COUNT = 256  # prompts made where no count is given


@dataclass(frozen=True)
class GrammarPrompts:
    """`count` prompts of the grammar, drawn by `seed`; iterating again gives the same ones. Judged and drawn text may differ."""

    seed: int
    count: int = COUNT

    def __iter__(self) -> Iterator[Prompt]:
        for item in prompts(self.seed, self.count):
            yield Prompt(
                text=item.prompt,
                drawn_text=item.generation_prompt,
                language="en",
                source=f"grammar/{item.kind}",
                licence="Apache-2.0",
                category=item.category,
                label=item.label,
            )
