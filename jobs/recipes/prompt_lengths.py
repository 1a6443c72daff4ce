"""Which prompts are longer than the text encoders of a recipe's generators read, counted before anything is drawn."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from jobs.recipes.asked_settings import generators
from pipeline.recipe import Recipe
from schemas.run import RunConfig
from schemas.sample import Sample
from stages.generate.drawing import Drawing
from stages.generate.prompt_tokens import TextEncoder, encoders_on_disk
from stages.prompts.grammar import GrammarPrompts

REFUSE = "refuse"
Length = Callable[[str], str | None]
"""Says in words why a text is too long, None where it is read whole."""


@dataclass
class EncoderCount:
    """Of one encoder: prompts that it does not read to their end, and the tokens of the longest one."""

    limit: int
    longer: int = 0
    longest: int = 0


@dataclass
class PromptLengths:
    """`encoders` by their names; `cut` prompts are longer than at least one of them reads; `counts` is by encoder."""

    encoders: dict[str, TextEncoder]
    cut: int = 0
    counts: dict[str, EncoderCount] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.counts = {name: EncoderCount(encoder.limit) for name, encoder in self.encoders.items()}

    def look_at(self, text: str) -> None:
        """Count one prompt. Short ones are told without their tokens."""
        longer = {name: one for name, one in self.encoders.items() if not one.reads_whole(text)}
        for name, encoder in longer.items():
            count = self.counts[name]
            count.longer += 1
            count.longest = max(count.longest, encoder.tokens(text))
        self.cut += bool(longer)

    def figures(self) -> dict[str, dict[str, int]]:
        """For the summary, by encoder."""
        return {name: vars(count) for name, count in self.counts.items()}

    def sentence(self, how: str) -> str:
        """What its user has to know; "" where every prompt is read whole."""
        if not self.cut:
            return ""
        parts = ", ".join(
            f"{name} reads {count.limit} tokens, {count.longer} have more, the longest {count.longest}"
            for name, count in self.counts.items()
            if count.longer
        )
        done = (
            "they are encoded whole, in chunks (--long-prompts chunks)"
            if how == "chunks"
            else "pictures show their beginning only, and what is cut off may be what decides; --long-prompts chunks encodes "
            "them whole (Stable Diffusion 1, 2, XL), --long-prompts refuse takes none"
        )
        return f"{self.cut} prompts are longer than a text encoder reads ({parts}): {done}"


def encoders_of(recipe: Recipe) -> dict[str, TextEncoder]:
    """The text encoders of all generators, by the model's name too where there are several; empty where no text is encoded."""
    drawing = [stage for stage in dict.fromkeys(generators(recipe.stages)) if isinstance(stage, Drawing)]
    found: dict[str, TextEncoder] = {}
    for stage in drawing:
        of = f"{Path(stage.model).name}:" if len(drawing) > 1 else ""
        found |= {f"{of}{encoder.name}": encoder for encoder in _encoders(stage)}
    return found


def _encoders(stage: Drawing) -> tuple[TextEncoder, ...]:
    return encoders_on_disk(stage.weights().directory)


def lengths_of(config: RunConfig, recipe: Recipe, items: Iterable[Sample]) -> PromptLengths:
    """Of the run's root samples. The grammar's are short and are not counted."""
    lengths = PromptLengths(encoders_of(recipe))
    if lengths.encoders and not (config.prompts is None and isinstance(recipe.prompts, GrammarPrompts)):
        for item in items:
            lengths.look_at(item.generation_prompt)
    return lengths


def length_check(config: RunConfig, recipe: Recipe) -> Length | None:
    """What `--long-prompts refuse` asks of every prompt; None where it is not given."""
    if config.long_prompts != REFUSE:
        return None
    encoders = encoders_of(recipe)

    def too_long(text: str) -> str | None:
        for name, encoder in encoders.items():
            if not encoder.reads_whole(text):
                return f"{encoder.tokens(text)} tokens, and {name} reads {encoder.limit} (--long-prompts refuse)"
        return None

    return too_long
