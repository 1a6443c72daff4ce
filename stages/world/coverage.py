"""Which prompts the embedded world can read: its generator and its judges know these words and no others."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from stages.world.reader import read

LOOKED_AT = 1000  # prompts: a tenth of a second, and the share is known to ±3 %
EXAMPLES = 3
SHOWN = 80  # characters of a prompt in an example


@dataclass(frozen=True)
class PromptCoverage:
    """Of `looked_at` prompts, `readable` have no word that the world does not know. `examples`: (prompt, its unknown words)."""

    looked_at: int
    readable: int
    examples: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def share(self) -> float:
        """Of readable prompts; 1 where there are none."""
        return self.readable / self.looked_at if self.looked_at else 1.0

    def sentences(self) -> list[str]:
        """What its users have to know before anything is drawn; nothing where all can be read."""
        if self.readable == self.looked_at:
            return []
        lines = [
            f"the embedded world can read {self.readable} of {self.looked_at} prompts ({self.share:.0%}). It knows English "
            "words for its pictograms and no others: of the rest it draws something else, and its judges cannot tell (`na`)"
        ]
        lines += [
            f"  cannot read {', '.join(map(repr, unknown[:4]))} in {prompt[:SHOWN]!r}"
            for prompt, unknown in self.examples
        ]
        return lines


def coverage_of(prompts: Iterable[str], at_most: int = LOOKED_AT) -> PromptCoverage:
    """Of the first `at_most` prompts; the examples are the first that cannot be read."""
    looked_at = readable = 0
    examples: list[tuple[str, tuple[str, ...]]] = []
    for prompt in islice(prompts, at_most):
        looked_at += 1
        reading = read(prompt)
        # "a photo of a": function words alone are read whole and say nothing
        unknown = reading.unknown or (() if reading.concepts else ("no picture is named",))
        if not unknown:
            readable += 1
        elif len(examples) < EXAMPLES:
            examples.append((prompt, unknown))
    return PromptCoverage(looked_at, readable, tuple(examples))
