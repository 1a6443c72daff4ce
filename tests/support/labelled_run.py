"""A small run of drawn scenes with labels and shards, and classifiers trained on it: made once, in the process of the tests."""

import shutil
from functools import cache
from tempfile import mkdtemp

from classifiers.saved import Saved
from classifiers.training.config import Settings
from classifiers.training.train import train
from jobs.label import label
from jobs.recipes.named import recipe_of, run_with_recipe
from jobs.recipes.prompts import generating_plan
from pipeline.engines.engine import EngineOptions, run_units
from pipeline.recipe import Recipe
from pipeline.rounds.existing_run import write_facts
from pipeline.rounds.round import open_round, pending
from pipeline.storage.open_store import open_store
from pipeline.storage.store import Store
from pipeline.votes.aggregate import aggregate
from schemas.run import RunConfig
from stages.rounds.shards_round import make_shards


@cache
def labelled_run(count: int = 160) -> Store:
    """Grammar prompts, drawn without a model, labelled by the world's truth, in shards."""
    folder = mkdtemp(prefix="hazmat-labelled-")
    config = RunConfig(out=folder, recipe="render", count=count, engine="local", seed=3)
    store = open_store(folder)
    recipe = recipe_of(config)
    plan = generating_plan(config, recipe)
    round_ = open_round(store, "rounds/000-generate", plan)
    write_facts(store, config, {})
    list(run_units("local", None, plan, round_, pending(round_)))
    label(store, "scene_truth,prompt_truth", "local")
    aggregate(store, "majority")
    make_shards(store, config, recipe.sharding(), EngineOptions("local"))
    return store


def recipe_of_labelled_run() -> Recipe:
    """That run's recipe."""
    return run_with_recipe(labelled_run().url)[2]


@cache
def trained_model(kind: str, epochs: int = 60) -> Saved:
    """A classifier on that run, saved. A dozen validation rows tell neither when to stop nor where one in twenty lies."""
    store = labelled_run()
    wanted = Settings(classifier=kind, name=kind, epochs=epochs, patience=0, false_positive_rate=0.4)
    made = train(store.url, wanted, recipe_of_labelled_run())
    return Saved(made["model"])


@cache
def attacked_run() -> Store:
    """A copy of that run and its classifiers for tests that add rounds; the other stays as every other test expects it."""
    for kind in ("text", "image"):
        trained_model(kind)
    return open_store(shutil.copytree(labelled_run().url, mkdtemp(prefix="hazmat-attacked-"), dirs_exist_ok=True))
