"""The recipes by the names that `--recipe` takes."""

from collections.abc import Callable, Iterable

from jobs.recipes import hardened, in_diffusion, published_weights
from jobs.recipes.pictogram import mixture, pictogram, render, rewrite
from jobs.recipes.published_weights import diffusion
from pipeline.plan import Plan
from schemas.run import RunConfig
from schemas.sample import Sample

Recipe = Callable[[RunConfig, Iterable[Sample]], Plan]

RECIPES: dict[str, Recipe] = {
    recipe.__name__: recipe
    for recipe in (
        pictogram,
        render,
        mixture,
        rewrite,
        hardened.hardened,
        diffusion,
        in_diffusion.in_diffusion,
        published_weights.sd15,
        published_weights.sdxl_turbo,
        published_weights.sdxl_lightning,
        published_weights.sd35,
        published_weights.flux,
    )
}
