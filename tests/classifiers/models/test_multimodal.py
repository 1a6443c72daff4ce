"""The joint classifiers read both modalities, keep the contract, and come back from disk as they were."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from classifiers.data.labelled_sample import LabelledSample
from classifiers.evaluation.attention_maps import attention_maps, draw
from classifiers.layers.encoder import ClipEncoder
from classifiers.models.multimodal import Multimodal
from classifiers.saved import Saved, kind_of, load
from pipeline.rounds.ledger import read_ledger
from pipeline.storage.image_codec import decode
from pipeline.storage.open_store import open_store
from pipeline.storage.weights import model_directory
from schemas.errors import InputError
from schemas.protocols import Differentiable, Inputs, Targets, Trainable
from schemas.sample import Sample
from schemas.taxonomy import UNSAFEBENCH
from tests.support.small_squares import square_rows, trained_on_square

each = pytest.mark.parametrize("kind", ["multimodal", "cascade"])
PROMPTS = ("a picture of a knife", "two kittens on a red background ready for a fight", "")
INPUTS = Inputs(PROMPTS, torch.rand((3, 3, 80, 64), generator=torch.Generator().manual_seed(0)))


@cache
def fresh(kind: str) -> Multimodal:
    """Untrained, with weights of a fixed draw."""
    torch.manual_seed(0)
    made = kind_of(kind)(ClipEncoder.from_directory(model_directory("assets/world/clip")), UNSAFEBENCH.ids, kind)
    assert isinstance(made, Multimodal)
    return made.eval()


@each
def test_it_keeps_the_contract_and_no_row_minds_its_company(kind: str) -> None:
    model = fresh(kind)
    assert isinstance(model, Differentiable) and isinstance(model, Trainable)
    scores, logits = model.score(INPUTS), model.logits(INPUTS)
    assert set(scores.unsafe) == {"prompt", "image", "pair"} and scores.categories["pair"].shape == (3, 11)
    assert torch.equal(logits[:, 1] > logits[:, 0], scores.unsafe["pair"] > model.threshold)
    for row in range(3):
        assert torch.allclose(model.logits(INPUTS.rows([row])), logits[row : row + 1], atol=1e-4)


@each
def test_gradients_reach_pixels_and_the_words_that_are_read(kind: str) -> None:
    model = fresh(kind)
    pixels = INPUTS.pixels.clone().requires_grad_(True)  # type: ignore[union-attr]
    ids = model.encode(PROMPTS)
    embeddings = model.embedding_table()[ids].clone().requires_grad_(True)
    inputs = Inputs(PROMPTS, pixels)
    assert torch.allclose(model.logits(inputs, embeddings), model.logits(inputs), atol=1e-5)
    model.logits(inputs, embeddings)[:, 1].sum().backward()
    assert pixels.grad is not None and embeddings.grad is not None
    assert bool(pixels.grad.flatten(1).any(dim=1).all())
    touched = embeddings.grad.any(dim=2)
    assert bool(touched[model.editable(ids)].all()) and not bool(touched[~model.encoder.read(ids)].any())


@each
def test_shuffling_the_prompts_changes_the_logits_and_attention_is_not_constant(kind: str) -> None:
    model = fresh(kind)
    shuffled = Inputs((PROMPTS[1], PROMPTS[2], PROMPTS[0]), INPUTS.pixels)
    with torch.no_grad():
        changed = (model.logits(shuffled) - model.logits(INPUTS))[:, 1].abs()
    assert float(changed.min()) > 1e-4
    maps = model.attention(INPUTS)
    words = [int(read) for read in model.encoder.read(model.encode(PROMPTS)).sum(dim=1)]
    assert maps.shape == (3, 2, max(words), 64)
    assert torch.allclose(maps.sum(dim=3), torch.ones(maps.shape[:3]), atol=1e-4)
    assert float(maps[1, 0, : words[1]].std(dim=0).max()) > 1e-4, "every word looks alike, as if there were but one"


def test_heads_of_one_modality_do_not_see_the_other() -> None:
    model = fresh("multimodal")
    other = Inputs((PROMPTS[1], PROMPTS[2], PROMPTS[0]), INPUTS.pixels)
    one, two = model.score(INPUTS), model.score(other)
    assert torch.allclose(one.unsafe["image"], two.unsafe["image"], atol=1e-5)
    assert not torch.allclose(one.unsafe["prompt"], two.unsafe["prompt"], atol=1e-5)


def test_confounders_are_learnt_where_each_modality_alone_is_at_chance() -> None:
    model = trained_on_square()
    unseen, truth = square_rows(9, seed=3)
    with torch.no_grad():
        flagged = model.logits(unseen)[:, 1] > 0
    assert float((flagged == (truth.unsafe["pair"] > 0)).float().mean()) >= 0.9
    crossed = Inputs(
        tuple(unseen.prompts[row + 2 if row % 4 < 2 else row - 2] for row in range(len(unseen))), unseen.pixels
    )
    with torch.no_grad():
        assert (
            float(((model.logits(crossed)[:, 1] > 0) == flagged).float().mean()) <= 0.2
        )  # each wrong at most one in ten


def test_rows_of_unknown_truth_teach_nothing() -> None:
    model = fresh("multimodal")
    rows, targets = square_rows(1, seed=0)
    unknown = torch.full_like(targets.unsafe["pair"], float("nan"))
    none = Targets(
        dict.fromkeys(targets.unsafe, unknown),
        targets.categories | {"pair": targets.categories["image"]},
        targets.weights,
    )
    found = model.losses(rows, none)
    assert float(found["pair"]) == 0 and bool(found["loss"].isfinite())
    half = Targets(targets.unsafe | {"pair": unknown}, none.categories, targets.weights)
    assert float(model.losses(rows, half)["prompt"]) > 0


@each
def test_it_comes_back_from_disk_as_it_was(kind: str, tmp_path: Path) -> None:
    model = fresh(kind)
    model.save(tmp_path / kind)
    again = load(tmp_path / kind)
    assert torch.allclose(again.logits(INPUTS), model.logits(INPUTS), atol=1e-6)
    before = Saved(str(tmp_path / kind)).digest()
    again.save(tmp_path / "copy" / kind)
    assert Saved(str(tmp_path / "copy" / kind)).digest() == before
    (tmp_path / kind / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(InputError, match="train it again"):
        load(tmp_path / kind)


@each
def test_three_lines_judge_pictures_of_any_kind_and_size(kind: str, tmp_path: Path) -> None:
    model = fresh(kind)
    array = np.random.default_rng(0).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    Image.fromarray(array).save(tmp_path / "picture.png")
    found = model.predict(["a knife"] * 3, [tmp_path / "picture.png", array, Image.fromarray(array).convert("RGBA")])
    assert len(found) == 3 and set(found.categories["pair"]) == set(UNSAFEBENCH.ids)
    assert np.allclose(found.unsafe["pair"], found.unsafe["pair"][0], atol=1e-5)
    direct = model.score(Inputs(("a knife",), torch.from_numpy(array).permute(2, 0, 1)[None].float() / 255))
    assert abs(float(direct.unsafe["pair"][0]) - float(found.unsafe["pair"][0])) < 1e-4
    assert len(model.predict([], [])) == 0


def test_what_cannot_be_judged_is_named(tmp_path: Path) -> None:
    model, array = fresh("multimodal"), np.zeros((8, 8, 3), dtype=np.uint8)
    (tmp_path / "text.png").write_text("no picture")
    for prompts, images, said in (
        (["a", "b"], [array], "2 prompts and 1 images"),
        ("a knife", [array], "in brackets"),
        (["a"], None, "none were given"),
        (["a"], [tmp_path / "text.png"], "image 0"),
        (["a"], [tmp_path / "missing.png"], "missing.png"),
        (["a"], [array.astype(np.float32)], "uint8"),
        (["a"], [np.zeros((9000, 9000, 3), dtype=np.uint8)], "resize it first"),
    ):
        with pytest.raises(InputError, match=said):
            model.predict(prompts, images)  # type: ignore[arg-type]


def test_attention_and_alignment_can_be_looked_at() -> None:
    model = fresh("multimodal")
    sheet = draw(model, INPUTS, 1)
    assert sheet.mode == "RGB" and sheet.width > 200
    assert model.alignment(INPUTS).shape == (3,) and float(model.alignment(INPUTS).abs().max()) <= 1 + 1e-5


def test_attention_of_rows_is_written_and_owned(tmp_path: Path) -> None:
    fresh("multimodal").save(tmp_path / "run/models/words")
    store = open_store(str(tmp_path / "run"))
    pixels = np.zeros((32, 32, 3), np.uint8)
    rows = [LabelledSample(Sample(key, key, prompt="a red apple", pixels=pixels)) for key in ("b", "a")]
    [name] = attention_maps(store, "test", Saved(str(tmp_path / "run/models/words")), rows, 1)
    assert name == "results/test/attention/words/a.png" and decode(store.read(name) or b"").shape[2] == 3
    ledger = read_ledger(store)
    assert ledger is not None and name in ledger.files
    with pytest.raises(InputError, match="no attention from words to pictures"):
        attention_maps(store, "test", Saved("assets/world/linear_probe"), rows, 1)
