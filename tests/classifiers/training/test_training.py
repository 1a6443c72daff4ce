"""Training on shards: what cannot be learnt from is named before anything is trained, and a kill changes nothing."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest
import torch
from safetensors import safe_open

from classifiers.data.labelled_shards import LabelledShards, shard_names
from classifiers.saved import Saved, build
from classifiers.training.batches import Encoded, Streamed, epoch_seed, steps_of
from classifiers.training.config import CLIP, Settings
from classifiers.training.dataset_check import check_shards, survey, survey_all
from classifiers.training.feature_cache import encoded
from classifiers.training.train import train
from jobs.recipes.named import recipe_of
from pipeline.engines.engine import EngineOptions
from pipeline.rounds.existing_run import existing_run
from pipeline.storage.open_store import open_store
from pipeline.storage.store import Store
from pipeline.storage.weights import model_directory
from pipeline.training import checkpoint
from pipeline.training.process_group import ProcessGroup
from schemas.errors import HazmatError, InputError
from schemas.protocols import Coverage
from schemas.run import RunConfig
from schemas.taxonomy import UNSAFEBENCH
from stages.rounds.shards_round import write_shards
from tests.support.labelled_run import labelled_run

PAIR = Coverage(frozenset({"prompt", "image"}), ("pair",), UNSAFEBENCH.ids)
RECIPE = recipe_of(RunConfig(out="unused", recipe="render"))
QUICK = Settings(classifier="text", name="quick", epochs=3, batch=16, patience=0, false_positive_rate=0.4)


@pytest.fixture
def copied(tmp_path: Path) -> Store:
    """The small run, to be damaged."""
    shutil.copytree(labelled_run().url, tmp_path / "run", ignore=shutil.ignore_patterns("models"))
    return open_store(str(tmp_path / "run"))


def streamed(split: str = "train") -> Streamed:
    return Streamed(LabelledShards(labelled_run(), split, PAIR.scopes), PAIR, survey(labelled_run(), split, PAIR))


def test_every_epoch_shows_each_row_once_in_an_order_of_its_own() -> None:
    rows = streamed()
    everyone = {row.sample.key for row in rows.rows}
    assert len(everyone) == len(rows) == rows.survey.rows - rows.survey.left_out
    orders = [[row.sample.key for row in rows.rows.shuffled(epoch_seed(0, epoch))] for epoch in (0, 1, 0)]
    assert all(set(order) == everyone and len(order) == len(everyone) for order in orders)
    assert orders[0] == orders[2] != orders[1]


def test_two_workers_together_see_what_one_sees_with_double_the_batch() -> None:
    rows = streamed()
    alone = [[key for part in step for key in part.keys] for step in rows.epoch(5, 0, 32, ProcessGroup())]
    pair = [list(rows.epoch(5, 0, 16, ProcessGroup(rank, 2))) for rank in (0, 1)]
    together = [{key for part in (*a, *b) for key in part.keys} for a, b in zip(*pair, strict=True)]
    assert len(together) == steps_of(len(rows), 16, ProcessGroup(0, 2)) == len(alone)
    assert all(set(one) - both <= set(alone[-1][-1:]) for one, both in zip(alone, together, strict=True))
    later = list(rows.epoch(5, 2, 32, ProcessGroup()))
    assert [[key for part in step for key in part.keys] for step in later] == alone[2:]


def test_labels_categories_and_weights_reach_the_batch() -> None:
    rows = streamed()
    asked = duckdb.sql(f"""
        SELECT key, pair_label, pair_categories, weight FROM '{labelled_run().url}/shards/train/*.parquet'
    """).fetchall()
    truth = {key: (label, categories, weight) for key, label, categories, weight in asked}
    for batch in rows.once(32, ProcessGroup()):
        for place, key in enumerate(batch.keys):
            label, categories, weight = truth[key]
            assert batch.targets.unsafe["pair"][place] == float(label == "unsafe")
            named = {c for c, on in zip(PAIR.categories, batch.targets.categories["pair"][place], strict=True) if on}
            assert named == {c for c in (categories or "").split(",") if c}
            assert np.isclose(batch.targets.weights[place] * rows.survey.mean_weight, min(weight, 5.0))
    balanced = replace(rows, class_weights="balanced").once(1024, ProcessGroup())
    found = next(balanced).targets
    unsafe = found.unsafe["pair"] == 1
    assert torch.isclose(found.weights[unsafe].sum(), found.weights[~unsafe].sum())


def test_features_that_do_not_fit_into_memory_are_computed_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    model, rows = build("text", model_directory(CLIP)), streamed("val")
    kept = encoded(model, rows, ProcessGroup(), even=False)
    assert isinstance(kept, Encoded) and len(kept) == len(rows)
    monkeypatch.setattr("classifiers.training.feature_cache.LARGEST", 1000)
    assert encoded(model, rows, ProcessGroup(), even=False) is rows


def test_a_damaged_shard_is_named_and_mended_by_what_the_message_says(copied: Store) -> None:
    name = shard_names(copied, "train", ".tar")[0]
    path = Path(copied.url) / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=rf"{name} is missing or damaged.*Delete it and run jobs/shards\.py"):
        train(copied.url, QUICK, RECIPE)
    path.unlink()
    _, config = existing_run(copied.url)
    write_shards(copied, config, RECIPE.sharding(), EngineOptions("local"), {})
    check_shards(copied, ("train", "val", "test"))


def test_a_tar_cut_short_is_no_shorter_epoch(copied: Store) -> None:
    name = shard_names(copied, "train", ".tar")[0]
    path = Path(copied.url) / name
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(InputError, match=r"cannot be read"):
        list(LabelledShards(copied, "train", ("pair",)))


def test_rows_that_nobody_labelled_are_counted_and_refused(copied: Store) -> None:
    name = shard_names(copied, "train", ".parquet")[0]
    table = f"'{copied.url}/{name}'"
    duckdb.sql(f"""
        COPY (SELECT * REPLACE (CASE WHEN row_number() OVER () <= 3 THEN NULL ELSE pair_label END AS pair_label) FROM {table})
        TO '{copied.url}/new.parquet' (FORMAT parquet)
    """)
    (Path(copied.url) / "new.parquet").replace(Path(copied.url) / name)
    with pytest.raises(InputError, match=r"3 of \d+ rows of a shard of train have no pair label.*jobs/label\.py"):
        survey(copied, "train", PAIR)


def test_labels_of_another_taxonomy_are_refused() -> None:
    few = replace(PAIR, categories=("violence", "sexual"))
    with pytest.raises(InputError, match=r"labels of the categories .*hate.* which this classifier does not know"):
        survey(labelled_run(), "train", few)


def test_a_split_of_one_label_is_refused(copied: Store) -> None:
    for name in shard_names(copied, "val", ".parquet"):
        duckdb.sql(f"""
            COPY (SELECT * REPLACE ('unsafe' AS pair_label) FROM '{copied.url}/{name}') TO '{copied.url}/new.parquet'
        """)
        (Path(copied.url) / "new.parquet").replace(Path(copied.url) / name)
    with pytest.raises(InputError, match=r"val holds \d+ unsafe and 0 safe rows"):
        survey_all(copied, PAIR)


def test_a_loss_that_is_no_number_stops_the_training(copied: Store) -> None:
    with pytest.raises(HazmatError, match=r"the gradient is nan in epoch 1, step \d.*lower --learning-rate"):
        train(copied.url, replace(QUICK, learning_rate=1e30), RECIPE)
    assert not list((Path(copied.url) / "models").rglob("model.safetensors"))


def test_a_training_stopped_in_an_epoch_goes_on_to_the_same_weights(
    copied: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Saved(train(copied.url, QUICK, RECIPE)["model"]).digest()
    again = replace(QUICK, name="again")
    monkeypatch.setattr(checkpoint, "SECONDS", 0.0)
    monkeypatch.setattr("classifiers.training.train.as_it_is", stop_at(11))
    with pytest.raises(KeyboardInterrupt):
        train(copied.url, again, RECIPE)
    kept = Path(copied.url) / "models/again/training/checkpoint.safetensors"
    assert taken_in(kept) == 11
    monkeypatch.undo()
    metrics = train(copied.url, again, RECIPE)
    assert Saved(metrics["model"]).digest() == whole and metrics["steps"] == 3 * steps_of(
        metrics["rows"]["train"], 16, ProcessGroup()
    )
    assert not kept.exists()


def test_a_training_goes_on_with_the_threads_that_it_began_with(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 2)
    kept = checkpoint.Checkpoint(open_store(str(tmp_path)), "checkpoint.safetensors", "one training")
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        kept.write({}, model.state_dict())
        torch.set_num_threads(1)
        replace(kept, fingerprint="another").restore_threads()
        assert torch.get_num_threads() == 1
        kept.restore_threads()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def taken_in(file: Path) -> int:
    """Steps that a checkpoint has seen, whosever it is."""
    with safe_open(file, "pt") as kept:
        return int(json.loads(kept.metadata()["facts"])["state"]["taken"])


def stop_at(step: int) -> object:
    """As a person would, in the middle of an epoch."""
    calls = iter(range(10**6))

    def harden(_: object, batch: object, __: int) -> object:
        if torch.is_grad_enabled() and _training(_) and next(calls) == step:
            raise KeyboardInterrupt
        return batch

    return harden


def _training(model: object) -> bool:
    return bool(getattr(model, "training", False))


def test_what_is_trained_is_logged_and_not_trained_again(copied: Store) -> None:
    metrics = train(copied.url, QUICK, RECIPE)
    folder = Path(metrics["model"])
    log = duckdb.sql(f"SELECT split, count(*), min(loss) FROM '{folder}/training/log.parquet' GROUP BY ALL").fetchall()
    assert {row[0]: row[1] for row in log}["val"] == 3 and all(np.isfinite(row[2]) for row in log)
    assert list((folder / "training/tensorboard").glob("events.*"))
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert train(copied.url, QUICK, RECIPE) == metrics
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    other = train(copied.url, replace(QUICK, seed=1), RECIPE)
    assert other["fingerprint"] != metrics["fingerprint"] and (folder / "model.safetensors").stat().st_mtime_ns > before


def test_a_tuned_encoder_starts_from_a_trained_classifier_and_moves(copied: Store) -> None:
    first = train(copied.url, QUICK, RECIPE)
    more = replace(QUICK, name="tuned", start="models/quick", tune_encoder=True, epochs=1)
    second = train(copied.url, more, RECIPE)
    before, after = (Saved(made["model"]).load().state_dict() for made in (first, second))
    name = "encoder.clip.text_model.encoder.layers.0.mlp.fc1.weight"
    assert not torch.equal(before[name], after[name]) and torch.allclose(before[name], after[name], atol=1e-2)
    with pytest.raises(InputError, match=r"is a text, and --classifier is image"):
        train(copied.url, replace(more, classifier="image"), RECIPE)
