"""The recipe that `--recipe` or a run's run.json names: one of ours, or a function in a file of the user's."""

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from inspect import get_annotations, isfunction
from pkgutil import iter_modules

import jobs.recipes
from jobs.recipes.asked_settings import as_asked
from jobs.recipes.guards import with_guards
from jobs.recipes.own_file import OwnRecipe
from jobs.recipes.several_models import refuse_several
from pipeline.recipe import Recipe
from pipeline.rounds.existing_run import existing_run
from pipeline.storage.store import Store
from schemas.errors import InputError
from schemas.run import RunConfig

Maker = Callable[[RunConfig], Recipe]


def recipes() -> dict[str, Maker]:
    """Every recipe there is, by its function's name: a function of the run's facts alone in another file of this folder."""
    makers: dict[str, Maker] = {}
    for module in iter_modules(jobs.recipes.__path__, f"{jobs.recipes.__name__}."):
        if module.name != __name__:
            for name, value in vars(import_module(module.name)).items():
                own = isfunction(value) and value.__module__ == module.name and not name.startswith("_")
                if own and get_annotations(value) == {"config": RunConfig, "return": Recipe}:
                    makers[name] = value
    return dict(sorted(makers.items()))


def chosen(config: RunConfig) -> RunConfig:
    """The facts of a new run as they are recorded: a recipe of the user's by its file's path and digest. Raises InputError."""
    ours = recipes()
    refuse_several(config)
    if config.recipe in ours:
        return config
    own = OwnRecipe.named(config.recipe)
    if own is None:
        raise InputError(
            f"--recipe {config.recipe}: expected one of {', '.join(ours)}, or FILE.py:FUNCTION for one of yours"
        )
    return replace(config, recipe=own.name, recipe_sha256=own.digest())


def recipe_of(config: RunConfig) -> Recipe:
    """The recipe of these facts, new or recorded. Raises InputError where it is not there, or not what was recorded."""
    ours = recipes()
    if config.recipe in ours:
        return with_guards(config, as_asked(config, ours[config.recipe](config)))
    own = OwnRecipe.named(config.recipe)
    if own is None:
        raise InputError(
            f"recipe {config.recipe!r}: this checkout has {', '.join(ours)}; check out the one that made the run"
        )
    recipe = own.load(config.recipe_sha256)(config)
    if not isinstance(recipe, Recipe):
        raise InputError(
            f"--recipe {own.name}: {own.function} returned {type(recipe).__name__}, not a pipeline.recipe.Recipe"
        )
    return with_guards(config, as_asked(config, recipe))


def recipe_of_run(store: Store, config: RunConfig) -> Recipe:
    """The recipe of a run that is there. Raises InputError, also for code that the run itself brings along."""
    own = OwnRecipe.named(config.recipe)
    if own is not None:
        own.refuse_from(store.url)
    return recipe_of(config)


def run_with_recipe(url: str) -> tuple[Store, RunConfig, Recipe]:
    """The run at `url`, its facts and its recipe: what most commands begin with. Raises InputError."""
    store, config = existing_run(url)
    return store, config, recipe_of_run(store, config)
