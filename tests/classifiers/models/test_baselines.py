"""The baselines keep the contract, learn from shards, and come back from disk as they were."""

from pathlib import Path

import pytest
import torch

from classifiers.data.labelled_shards import LabelledShards
from classifiers.saved import Saved, build
from classifiers.training.batches import Streamed
from classifiers.training.config import CLIP
from classifiers.training.dataset_check import survey
from classifiers.training.thresholds import measures
from pipeline.storage.weights import model_directory
from pipeline.training.process_group import ProcessGroup
from schemas.errors import InputError
from schemas.protocols import Differentiable, Inputs
from tests.support.labelled_run import labelled_run, trained_model

each = pytest.mark.parametrize("kind", ["text", "image", "late_fusion"])
PROMPTS = ("a picture of a knife", "two kittens on a red background", "a house")
INPUTS = Inputs(PROMPTS, torch.rand((3, 3, 80, 64), generator=torch.Generator().manual_seed(0)))


@each
def test_a_baseline_keeps_the_contract(kind: str) -> None:
    model = trained_model(kind).load()
    assert isinstance(model, Differentiable)
    scores, logits = model.score(INPUTS), model.logits(INPUTS)
    (scope,) = model.coverage.scopes
    assert scores.unsafe[scope].shape == (3,) and scores.categories[scope].shape == (3, 11) and logits.shape == (3, 2)
    assert torch.equal(logits[:, 1] > logits[:, 0], scores.unsafe[scope] > model.threshold)
    alone = model.logits(INPUTS.rows([1]))
    assert torch.allclose(alone, logits[1:2], atol=1e-4)


@each
def test_gradients_reach_what_it_reads(kind: str) -> None:
    model = trained_model(kind).load()
    pixels = INPUTS.pixels.clone().requires_grad_(True)  # type: ignore[union-attr]
    ids = model.encode(PROMPTS)
    embeddings = model.embedding_table()[ids].clone().requires_grad_(True)
    inputs = Inputs(PROMPTS, pixels)
    assert torch.allclose(model.logits(inputs, embeddings), model.logits(inputs), atol=1e-5)
    model.logits(inputs, embeddings)[:, 1].sum().backward()
    for name, tensor in (("image", pixels), ("prompt", embeddings)):
        assert (tensor.grad is not None and bool(tensor.grad.any())) == (name in model.coverage.reads)


@each
def test_it_learns_from_shards(kind: str) -> None:
    model = trained_model(kind).load()
    store, seen = labelled_run(), survey(labelled_run(), "train", model.coverage)
    rows = Streamed(LabelledShards(store, "train", model.scopes), model.coverage, seen)
    train = measures(model, rows, model.scope, ProcessGroup())
    assert train["n"] > 60 and train["accuracy"] > 0.7, train


@each
def test_it_comes_back_from_disk_as_it_was_and_is_named_by_its_digest(kind: str, tmp_path: Path) -> None:
    model = trained_model(kind).load()
    model.save(tmp_path / "copy")
    again = Saved(str(tmp_path / "copy"))
    assert torch.equal(again.load().logits(INPUTS), model.logits(INPUTS))
    assert again.digest() == trained_model(kind).digest()


def test_tokens_are_decoded_to_what_was_encoded_and_overruns_are_seen() -> None:
    model = build("text", model_directory(CLIP))
    ids = model.encode(["a knife on red"])
    assert model.decode(ids[0]) == "a knife on red" and int(model.editable(ids).sum()) == 4
    assert not model.overruns("a knife") and model.overruns("a knife " * 60)


def test_what_is_no_classifier_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train one with jobs/train\.py"):
        Saved(str(tmp_path)).load()
    with pytest.raises(InputError, match="have none"):
        trained_model("image").load().logits(Inputs(PROMPTS))


def test_what_is_saved_names_no_place_of_this_machine() -> None:
    """Else the same weights have another digest in another checkout."""
    config = Path(trained_model("text").folder, "config.json").read_text()
    assert str(model_directory(CLIP)) not in config and str(Path(CLIP).absolute()) not in config
