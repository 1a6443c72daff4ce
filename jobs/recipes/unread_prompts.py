"""What is said about a run's prompts before anything is drawn: which cannot be read, and of which the beginning only."""

from jobs.command import say, warn
from jobs.recipes.prompt_lengths import lengths_of
from jobs.recipes.prompts import Roots
from pipeline.recipe import Recipe
from schemas.run import RunConfig
from stages.label.pictogram_wording import PictogramWording
from stages.world.coverage import coverage_of

UNREAD = (
    "  jobs/world.py words lists what it knows. For other prompts: --recipe diffusion --model DIR --restricted draws them, and "
    "zero_shot=CLIP, vlm_judge or people judge them (docs/guide/own_prompts.md)"
)


def say_what_is_cut(facts: RunConfig, recipe: Recipe, items: Roots) -> dict[str, object]:
    """How many prompts are longer than the text encoders read, by encoder; `prompts_too_long` is how many in all."""
    lengths = lengths_of(facts, recipe, items)
    sentence = lengths.sentence(facts.long_prompts)
    if sentence:
        warn(sentence)
    return {"prompts_too_long": lengths.cut, "text_encoders": lengths.figures()} if lengths.encoders else {}


def say_what_is_unread(facts: RunConfig, recipe: Recipe, items: Roots) -> dict[str, object]:
    """Before anything is drawn: which of the user's prompts the embedded world can read. Nothing for other recipes."""
    if facts.prompts is None or not isinstance(recipe.wording, PictogramWording):
        return {}
    coverage = coverage_of(item.generation_prompt or item.prompt for item in items)
    sentences = coverage.sentences()
    if sentences:
        warn("\n".join(sentences))
        say(UNREAD)
    return {"prompts_looked_at": coverage.looked_at, "prompts_readable": coverage.readable}
