"""A small run of drawn scenes with labels and shards, and classifiers trained on it: made once, in the process of the tests."""

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import torch

from classifiers.baseline import Saved
from jobs.label import aggregate, label
from jobs.recipes import RECIPES
from jobs.roots import roots
from jobs.sharding import pictogram
from jobs.shards import Means, make_shards
from jobs.train import CLIP, build, train
from pipeline.engine import run_units
from pipeline.round import open_round, pending
from pipeline.store import Store, open_store
from schemas.run import RunConfig
from stages.weights import model_directory


@cache
def labelled_run(count: int = 160) -> Store:
    """Grammar prompts, drawn without a model, labelled by the world's truth, in shards."""
    folder = mkdtemp(prefix="hazmat-labelled-")
    config = RunConfig(out=folder, recipe="render", count=count, engine="local", seed=3)
    store = open_store(folder)
    plan = RECIPES["render"](config, roots(config))
    round_ = open_round(store, "rounds/000-generate", plan)
    store.write("run.json", config.to_json({}))
    list(run_units("local", None, plan, round_, pending(round_)))
    label(store, "scene_truth,prompt_truth", "local")
    aggregate(store, "majority")
    make_shards(store, config, pictogram(folder), Means("local"))
    return store


@cache
def trained_model(kind: str, epochs: int = 60) -> Saved:
    """A baseline on that run, saved."""
    store = labelled_run()
    torch.manual_seed(0)
    model = build(kind, model_directory(CLIP))
    train(model, store, epochs, seed=0)
    folder = Path(store.url) / "models" / kind
    model.save(folder)
    return Saved(str(folder))
