"""A run that kept early steps, labelled and sharded: its dataset is a query, and detectors train on it by the trainer itself."""

import json
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import duckdb
import pytest
import torch

from classifiers.data.labelled_shards import LabelledShards
from classifiers.evaluation.captures import judged_by
from classifiers.evaluation.cases import cases_of
from classifiers.families.in_diffusion import InDiffusion
from classifiers.saved import build
from classifiers.training.batches import Streamed
from classifiers.training.captured_rows import CapturedRows, with_captures
from classifiers.training.classifier_training import ClassifierTraining
from classifiers.training.config import Settings
from classifiers.training.dataset_check import survey
from classifiers.training.feature_cache import encoded
from jobs import evaluate
from jobs.label import label
from jobs.recipes.named import recipe_of
from jobs.recipes.prompts import generating_plan
from pipeline.catalogue.duck import scratch_database
from pipeline.catalogue.views import open_views, refresh
from pipeline.engines.engine import EngineOptions, run_units
from pipeline.rounds.captures import CaptureReader
from pipeline.rounds.existing_run import write_facts
from pipeline.rounds.round import open_round, pending
from pipeline.storage.open_store import open_store
from pipeline.storage.store import Store
from pipeline.storage.weights import model_directory
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.process_group import ProcessGroup
from pipeline.votes.aggregate import aggregate
from schemas.errors import InputError
from schemas.protocols import Inputs
from schemas.run import RunConfig
from stages.attack.text.typos import Typos
from stages.attack.transforms.recompress import Recompress
from stages.rounds.attack_round import open_attack_round
from stages.rounds.shards_round import make_shards
from tests.support.commands import call
from tests.support.labelled_run import labelled_run

pytestmark = pytest.mark.slow


@cache
def kept_run() -> Store:
    """24 prompts under two seeds, drawn by the embedded model."""
    folder = mkdtemp(prefix="hazmat-early-")
    config = RunConfig(out=folder, recipe="in_diffusion", count=24, images_per_prompt=2, engine="local", seed=3)
    store = open_store(folder)
    plan = generating_plan(config, recipe_of(config))
    round_ = open_round(store, "rounds/000-generate", plan)
    write_facts(store, config, {})
    list(run_units("local", None, plan, round_, pending(round_)))
    label(store, "tagger_truth,prompt_truth", "local")
    aggregate(store, "majority")
    make_shards(store, config, recipe_of(config).sharding(), EngineOptions("local"))
    return store


def streamed(store: Store, model: InDiffusion, split: str = "train") -> Streamed:
    return Streamed(
        LabelledShards(store, split, model.scopes), model.coverage, survey(store, split, model.coverage), "none"
    )


def detector(kind: str) -> InDiffusion:
    torch.manual_seed(0)
    model = build(kind, model_directory("assets/world/clip"))
    assert isinstance(model, InDiffusion)
    return model


def test_the_dataset_is_a_query_over_prompt_seed_model_steps_and_the_pictures_own_label() -> None:
    store = kept_run()
    refresh(store)
    with scratch_database() as con:
        open_views(con, store)
        captures = f"read_parquet('{store.url}/rounds/*/captures/*.parquet')"
        rows = con.execute(f"""
            SELECT s.root, s.seed, s.revision = c.revision, s.steps = c.of_steps, len(c.names), s.image_label, s.image_categories
            FROM samples s JOIN {captures} c USING (key)
        """).fetchall()
    assert len(rows) == 48 and len({row[0] for row in rows}) == 24 and len({row[1] for row in rows}) == 48
    assert all(row[2] and row[3] and row[4] == 9 for row in rows)
    assert {row[5] for row in rows} <= {"safe", "unsafe", None}


@pytest.mark.parametrize("kind", ["wukong", "latent_probe", "predicted_noise"])
def test_rows_of_shards_come_with_their_captures_and_can_be_encoded_once(kind: str) -> None:
    store, model = kept_run(), detector(kind)
    rows = with_captures(store, model, streamed(store, model))
    assert isinstance(rows, CapturedRows)
    source = encoded(model, rows, ProcessGroup(), even=True)
    assert len(source) == len(rows)
    (batch, *_) = source.once(8, ProcessGroup())
    assert batch.features is not None and batch.features.keys() == model.reads
    assert float(batch.losses(model)["loss"].detach()) > 0


def test_a_run_that_kept_nothing_says_so() -> None:
    store, model = labelled_run(), detector("wukong")
    with pytest.raises(InputError, match="--recipe in_diffusion"):
        with_captures(store, model, streamed(store, model))


def test_the_trainers_loop_trains_a_detector_on_the_runs_own_rows() -> None:
    """The sources as `classifiers/training/train.py` makes them; few rows for a val split of both labels: train stands for it."""
    store, model = kept_run(), detector("wukong")
    rows = encoded(model, with_captures(store, model, streamed(store, model)), ProcessGroup(), even=True)
    settings = Settings(classifier="wukong", name="wukong", epochs=3, batch=8)
    folder = "models/wukong/training"
    frozen = [p.clone() for p in model.parameters() if not p.requires_grad]
    before = ClassifierTraining(
        settings, ProcessGroup(), rows, rows, Checkpoint(store, "none", "before"), folder
    ).validate(model)
    state = ClassifierTraining(
        settings, ProcessGroup(), rows, rows, Checkpoint(store, f"{folder}/checkpoint.safetensors", "one"), folder
    ).run(model.train())
    assert state.epoch == 3 and state.best_loss < before["loss"]
    assert all(
        torch.equal(a, b) for a, b in zip(frozen, (p for p in model.parameters() if not p.requires_grad), strict=True)
    )


@cache
def attacked_run() -> Store:
    """A copy with variants: misspelt prompts, drawn anew by the recipe itself, and pictures that were pressed after drawing."""
    folder = shutil.copytree(kept_run().url, mkdtemp(prefix="hazmat-early-attacked-"), dirs_exist_ok=True)
    store = open_store(folder)
    config = RunConfig.from_json(store.read("run.json") or b"")
    for family, attack in (("text", Typos()), ("image", Recompress())):
        open_attack_round(store, config, recipe_of(config), family, (attack,)).carry_out("local")
    label(store, "tagger_truth,prompt_truth", "local")
    aggregate(store, "majority")
    make_shards(store, config, recipe_of(config).sharding(), EngineOptions("local"))
    for kind in ("wukong", "image"):
        torch.manual_seed(0)
        build(kind, model_directory("assets/world/clip"), kind).save(Path(folder, "models", kind))
    return store


def test_an_attack_on_words_is_drawn_anew_with_captures_of_its_own() -> None:
    store = attacked_run()
    variants = [case.sample for case in cases_of(store, "train") if case.sample.attack is not None]
    misspelt = [sample for sample in variants if sample.attack and sample.attack.name == "typos"]
    reader = CaptureReader.of(store)
    pressed = {sample.key for sample in variants} - {sample.key for sample in misspelt}
    assert misspelt and pressed and not pressed & reader.places.keys()
    own = reader.stacked([sample.key for sample in misspelt], 0.2)
    parents = reader.stacked([sample.parent or "" for sample in misspelt], 0.2)
    assert (own["latent"] != parents["latent"]).any(axis=(1, 2, 3)).all()
    assert (own["words"] != parents["words"]).any(axis=(1, 2)).mean() > 0.5, "not all typos make other tokens"


def test_the_evaluator_judges_a_detector_on_the_rows_of_the_others_that_were_drawn(
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = attacked_run()
    asked = ["--classifiers", "wukong,image", "--data", "train", "--attacks", "typos", "--workers", "1", "--latency"]
    assert call(evaluate, store.url, "--json", *asked) == 0
    said = json.loads(Path(json.loads(capsys.readouterr().out.splitlines()[-1])["figures"]).read_text())
    rows = duckdb.sql(f"""
        SELECT scorer, key, attack, setting, score, scope, label, root
        FROM read_parquet('{store.url}/results/train/*/none/*.parquet')
    """).fetchall()
    by = {name: {row[1]: row for row in rows if row[0] == name} for name in ("wukong", "image")}
    unlike = by["image"].keys() - by["wukong"].keys()
    assert by["wukong"].keys() < by["image"].keys()
    assert {by["image"][key][2] for key in unlike} == {"recompress"}, "pixels are attacked after the drawing"
    assert {row[2] for row in by["wukong"].values()} == {"none", "typos"}
    assert all(
        row[2:4] == by["image"][key][2:4] and row[5:] == by["image"][key][5:] for key, row in by["wukong"].items()
    )
    keys = sorted(by["wukong"])
    model, reader = detector("wukong"), CaptureReader.of(store)
    kept = {name: torch.from_numpy(array) for name, array in reader.stacked(keys, model.share).items()}
    scores = model.eval().score(Inputs(("",) * len(keys), captures=kept)).unsafe["image"]
    assert torch.allclose(scores, torch.tensor([by["wukong"][key][4] for key in keys]), atol=1e-5)
    measured = {(row["scorer"], row["attack"]) for row in said["attacks"] if row["measure"] == "attack_success_rate"}
    assert ("wukong", "typos") in measured and {row["scorer"] for row in said["latency"]} == {"wukong", "image"}


def test_a_detector_on_rows_without_captures_says_what_they_lack() -> None:
    store, model = attacked_run(), detector("wukong")
    pressed = [
        case for case in cases_of(store, "train") if case.sample.attack and case.sample.attack.name == "recompress"
    ]
    with pytest.raises(InputError, match="none has captures"):
        judged_by(store, model.coverage, pressed)
