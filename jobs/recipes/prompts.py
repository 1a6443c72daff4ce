"""Where a run's prompts come from: files, datasets, published benchmarks, the grammar; past the gate, and as root samples."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from jobs.recipes.asked_settings import Check, row_check
from jobs.recipes.prompt_lengths import Length, length_check
from pipeline.engines.estimate import drawn_on_cpu
from pipeline.plan import Plan
from pipeline.recipe import Recipe
from schemas.errors import InputError
from schemas.prompt import LeftOut, Prompt
from schemas.run import RunConfig
from schemas.sample import Sample
from stages.prompts.csv_rows import MALFORMED
from stages.prompts.files import read_prompts
from stages.prompts.gate import Gate
from stages.prompts.grammar import COUNT, GrammarPrompts
from stages.prompts.hub import HubPrompts
from stages.prompts.intake import Intake
from stages.prompts.published import benchmark_of

GRAMMAR = "grammar"
"""Names the grammar among the sources of `--prompts A,B,grammar`."""


LONG = "longer_than_encoders"
"""What is left out where long prompts are refused and bad rows skipped."""


@dataclass
class Roots:
    """The root samples of a run; iterating again gives the same ones.

    `counts` says what the last pass left out, and why; `examples` where the first of each reason are; `unheeded` how many rows set
    something of a generator that the recipe does not have. `check` is asked whether what a row sets of its generator can be had,
    `too_long` whether its text encoders read the prompt whole. Iterating raises InputError if nothing is left, and for a row that
    cannot be drawn as it asks, unless bad rows are skipped.
    """

    config: RunConfig
    default: Iterable[Prompt | LeftOut]
    gate: Gate
    check: Check | None = None
    too_long: Length | None = None
    unheeded: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Sample]:
        intake, self.unheeded = Intake(self.gate), 0
        self.counts, self.examples = intake.counts, intake.examples
        for prompt in islice(intake.admit(self._prompts()), self.config.count):
            yield Sample.from_prompt(prompt, self.config.seed)
        if not intake.counts["admitted"] and (self.left_out or self.config.prompts):
            source = self.config.prompts or f"the recipe {self.config.recipe}"
            raise InputError(f"no prompt of {source} is left: {self.left_out_line() or 'it has none'}")

    @property
    def left_out(self) -> dict[str, int]:
        """How many prompts the last pass left out, by reason."""
        return {reason: count for reason, count in self.counts.items() if count and reason != "admitted"}

    def left_out_line(self) -> str:
        """The same as a sentence, with the first places; "" where nothing was left out."""
        places = {reason: f" ({'; '.join(some)})" for reason, some in self.examples.items()}
        return ", ".join(f"{count} {reason}{places.get(reason, '')}" for reason, count in self.left_out.items())

    def sources(self) -> list[Iterable[Prompt | LeftOut]]:
        """What the prompts are read from, one after the other."""
        if self.config.prompts is None:
            return [self.default]
        return [self._source(name) for name in _names(self.config.prompts)]

    def _prompts(self) -> Iterator[Prompt | LeftOut]:
        for source in self.sources():
            yield from map(self._drawable, source)

    def _drawable(self, prompt: Prompt | LeftOut) -> Prompt | LeftOut:
        if isinstance(prompt, LeftOut):
            return prompt
        reason = None if self.too_long is None else self.too_long(prompt.drawn_text or prompt.text)
        if reason is not None:
            return self._bad(LONG, f"{prompt.source}, row {prompt.source_id}: {reason}")
        if prompt.settings is None:
            return prompt
        if self.check is None:
            self.unheeded += 1
            return prompt
        try:
            self.check(prompt.settings)
        except InputError as error:
            return self._bad(MALFORMED, f"{prompt.source}, row {prompt.source_id}: {error}")
        return prompt

    def _bad(self, reason: str, where: str) -> LeftOut:
        if not self.config.skip_bad_rows:
            raise InputError(f"{where}. Mend it, or leave such rows out with --skip-bad-rows")
        return LeftOut(reason, where)

    def _source(self, name: str) -> Iterable[Prompt | LeftOut]:
        path = Path(name)
        if name == GRAMMAR:
            return default_prompts(self.config)
        benchmark = benchmark_of(name)
        if benchmark is not None:
            if name == self.config.prompts and self.config.column is not None:
                raise InputError(
                    f"--column {self.config.column}: {name} has the columns of its benchmark; leave it out"
                )
            return benchmark
        if path.is_dir() or (not path.suffix and name.count("/") == 1 and not path.exists()):
            return HubPrompts(name, self.config.column or "prompt", seed_column=self.config.seed_column)
        return read_prompts(
            name, self.config.column, skip_bad_rows=self.config.skip_bad_rows, seed_column=self.config.seed_column
        )


def _names(prompts: str) -> list[str]:
    """The sources of `--prompts A,B`; a file whose own name has a comma is one source."""
    return [prompts] if Path(prompts).exists() else [name for name in prompts.split(",") if name]


def default_prompts(config: RunConfig) -> GrammarPrompts:
    """What most recipes draw where no `--prompts` are given: the grammar's."""
    return GrammarPrompts(config.seed, config.count or COUNT)


def roots(config: RunConfig, default: Iterable[Prompt | LeftOut], check: Check | None = None) -> Roots:
    """The run's root samples, past the default gate: `--prompts`, or else the `default` of its recipe; see `row_check`."""
    return Roots(config, default, Gate.default(), check)


def checked_roots(config: RunConfig, recipe: Recipe) -> Roots:
    """The same, of which the recipe's generators can draw each as it asks."""
    return replace(roots(config, recipe.prompts, row_check(recipe)), too_long=length_check(config, recipe))


def generating_plan(config: RunConfig, recipe: Recipe) -> Plan:
    """The generating round of a run: the recipe over the run's prompts."""
    return recipe.plan(checked_roots(config, recipe), config.seed, on_cpu=drawn_on_cpu(config.engine))
