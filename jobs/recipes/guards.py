"""`--guard A,B`: classifiers around and inside what a recipe draws with; what they refuse is not kept."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from classifiers.saved import Saved, embedded
from pipeline.recipe import Recipe
from pipeline.stage import Stage
from schemas.errors import InputError
from schemas.run import RunConfig
from stages.generate.diffusion import Diffusion
from stages.generate.guarded_diffusion import GuardedDiffusion


def guard_folders(guard: str) -> str:
    """The folders of A,B by their whole paths: a run goes on from any place. Raises InputError where there is no such folder."""
    names = [str(embedded(name.strip()) or name.strip()) for name in guard.split(",") if name.strip()]
    missing = [name for name in names if not (Path(name) / "config.json").is_file()]
    if missing or not names:
        raise InputError(
            f"--guard {guard}: no classifier in {missing or 'it'}; give folders, as RUN/models/NAME, or embedded:NAME"
        )
    return ",".join(str(Path(name).resolve()) for name in names)


def with_guards(config: RunConfig, recipe: Recipe) -> Recipe:
    """The recipe, whose diffusion model draws through the guards; pictures of attacked prompts alike.

    Raises InputError where a guard cannot be placed, and for a recipe that draws with no single diffusion model.
    """
    if config.guard is None:
        return recipe
    placed = _placed(config.guard)

    def guarded(stage: Stage) -> Stage:
        if type(stage) is not Diffusion:
            return stage
        settings: dict[str, Any] = {field.name: getattr(stage, field.name) for field in fields(stage)}
        return GuardedDiffusion(**settings, **placed)

    stages, redraw = tuple(map(guarded, recipe.stages)), tuple(map(guarded, recipe.redraw))
    if stages == recipe.stages:
        raise InputError(f"--guard: recipe {recipe.name} draws with no single diffusion model that could be guarded")
    return replace(recipe, stages=stages, redraw=redraw)


def _placed(guard: str) -> dict[str, Any]:
    """Each by what it reads: prompts alone before the drawing, captures in it, pictures behind it."""
    placed: dict[str, Saved] = {}
    for folder in guard.split(","):
        saved = Saved(folder)
        coverage = saved.load().coverage
        place = "early" if coverage.captures else "image" if "image" in coverage.reads else "text"
        if place in placed:
            raise InputError(
                f"--guard {guard}: both {placed[place].folder} and {folder} are {place} guards; give one each"
            )
        placed[place] = saved
    return placed
