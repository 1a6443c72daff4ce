"""The settings of generation that the command line gives, laid over what a recipe draws with."""

from dataclasses import replace

from pipeline.recipe import Recipe
from pipeline.stage import Stage
from schemas.errors import InputError
from schemas.run import RunConfig
from stages.generate.drawing import Drawing


def as_asked(config: RunConfig, recipe: Recipe) -> Recipe:
    """The recipe, whose generator draws with what was asked for in place of its own; pictures of attacked prompts alike.

    Raises InputError for values out of range, and for settings that the recipe has no generator to give them to.
    """
    given = config.generation.given()
    if not given:
        return recipe

    def asked(stage: Stage) -> Stage:
        return replace(stage, **given) if isinstance(stage, Drawing) else stage  # type: ignore[arg-type]

    if not any(isinstance(stage, Drawing) for stage in recipe.stages):
        flags = ", ".join("--lora" if name == "loras" else f"--{name.replace('_', '-')}" for name in given)
        raise InputError(f"{flags}: recipe {recipe.name} has no single diffusion model to give them to; leave them out")
    return replace(recipe, stages=tuple(map(asked, recipe.stages)), redraw=tuple(map(asked, recipe.redraw)))
