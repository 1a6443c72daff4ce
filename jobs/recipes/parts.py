"""What recipes of one kind have in common: how their shards are made, who knows the truth, and who can read their prompts."""

from typing import Any, TypedDict

from jobs.recipes.sharding import natural, pictogram
from pipeline.recipe import ShardRecipe, Without
from schemas.wording import Wording
from stages.generate.diffusion import Diffusion
from stages.label.pictogram_wording import PictogramWording

EMBEDDED = "assets/world/t2i"


class Parts(TypedDict):
    """The parts of a recipe that do not say how it draws."""

    shards: ShardRecipe | Without
    judges: tuple[str, ...] | Without
    wording: Wording | Without


def world() -> Parts:
    """Of recipes that draw the embedded world."""
    judges = ("scene_truth", "tagger_truth", "prompt_truth")
    return {"shards": pictogram(), "judges": judges, "wording": PictogramWording()}


def outside() -> Parts:
    """Of recipes that draw with weights of yours, from prompts of anybody."""
    return {
        "shards": natural(),
        "judges": Without(
            "no labeller knows the truth of what weights from outside draw; name those you trust: --judges A,B"
        ),
        "wording": Without("whether a prompt still means the same can only be read in the embedded world"),
    }


def embedded(**settings: Any) -> Diffusion:
    """The embedded Stable Diffusion, as every recipe of the world draws with it."""
    return Diffusion(**{"model": EMBEDDED, "steps": 10, "guidance_scale": 3.0, **settings})
