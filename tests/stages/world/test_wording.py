"""The text tower learns free wordings that keep the words and never use the held-out phrasing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from stages.world.language import COLOUR_WORDS, GROUND_WORDS, HELD_OUT_BESIDE, HELD_OUT_OPENINGS, words
from stages.world.scene import Scene
from stages.world.training.distillation import MIXTURE, Strangers, Teacher, draw
from stages.world.training.free_wording import Encoder, Words, free_caption, two_wordings
from stages.world.training.loop import averaged_weights, begin_from
from stages.world.training.scene_batches import sample_scene
from stages.world.training.tokenizer import load
from stages.world.training.warm_start import adopt, earlier_rows, tower_to_start_from

ASSETS = Path(__file__).resolve().parents[3] / "assets" / "world"


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    directory = tmp_path_factory.mktemp("work")
    adopt(ASSETS, directory)
    return directory


def scenes(count: int) -> list[tuple[Scene, np.random.Generator]]:
    rng = np.random.default_rng(4)
    return [(sample_scene(rng, MIXTURE), np.random.default_rng(i)) for i in range(count)]


def order_of(plain: Words, free: Words) -> str:
    """Order of objects, ground, style and clutter in the free wording, by words that only those parts have."""
    grounds = {word for table in (COLOUR_WORDS, GROUND_WORDS) for words in table.values() for word in words}
    marks = {"style": "s", "clutter": "c", "shapes": "c", **dict.fromkeys(grounds, "g")}
    part = {w.key: "o" if w.place >= 0 else marks.get(w.text, "") for w in plain if w.key >= 0}
    said = [part.get(word.key, "") for word in free]
    return "".join(dict.fromkeys("".join(said)))


def test_free_wordings_never_take_a_held_out_order() -> None:
    found = {order_of(*two_wordings(scene, rng)) for scene, rng in scenes(1500)}
    assert not found & {"gcos", "sgoc", "cgso", "go", "gos", "gso", "sgo", "gco", "goc", "cgo", "co", "cos"}
    assert {"gocs", "gsoc", "cogs", "sogc"} <= found


def test_free_wordings_never_say_a_held_out_word() -> None:
    held_out = {word for phrase in (*HELD_OUT_OPENINGS, *HELD_OUT_BESIDE) for word in phrase.split()}
    only_there = held_out - {"a", "an", "of", "to", "the", "with", "that"}
    said = {word for scene, rng in scenes(1500) for word in free_caption(scene, rng).split()}
    assert not said & only_there
    assert len(said & set(words())) > 300


def test_words_of_both_wordings_are_the_same_but_for_typos() -> None:
    kept = total = 0
    for scene, rng in scenes(500):
        plain, free = two_wordings(scene, rng)
        clean = {word.key: word for word in plain if word.key >= 0}
        for word in (w for w in free if w.key >= 0):
            assert abs(len(word.text) - len(clean[word.key].text)) <= 1
            assert (word.concept, word.place) == (clean[word.key].concept, clean[word.key].place)
            kept += word.text == clean[word.key].text
            total += 1
    assert 0.9 < kept / total < 0.99


def test_tokens_of_words_are_those_of_the_text(work: Path) -> None:
    tokenizer = load(work)
    encoder = Encoder(tokenizer)
    said = [two_wordings(scene, rng)[0] for scene, rng in scenes(50)]
    ids, lasts = encoder.encode(said, 77)
    texts = [" ".join(word.text for word in words) for words in said]
    assert ids.tolist() == tokenizer(texts, padding="max_length", max_length=77, truncation=True)["input_ids"]
    assert all(row[-1] == int((ids[i] != encoder.tokenizer.pad_token_id).sum()) - 1 for i, row in enumerate(lasts))


def test_strange_words_get_another_vector_each_time() -> None:
    embedding = nn.Embedding(10, 128)
    embedding.register_forward_hook(Strangers(0))
    ids = torch.tensor([[0, 3, 0]])
    first, second = embedding(ids), embedding(ids)
    assert torch.equal(first[0, 1], embedding.weight[3])
    assert not torch.equal(first[0, 0], first[0, 2])
    assert not torch.equal(first[0, 0], second[0, 0])
    assert 0.14 < float(first[0, 0].detach().norm()) < 0.71


def test_a_tower_that_is_its_own_teacher_keeps_all_and_reads_free_wordings_otherwise(work: Path) -> None:
    tokenizer = load(work)
    encoder, tower = Encoder(tokenizer), tower_to_start_from(work, tokenizer).eval()
    batch = draw(encoder, np.random.default_rng(2), 16)
    with torch.no_grad():
        plain, free = (tower(input_ids=ids).last_hidden_state for ids in (batch.plain, batch.free))
        losses = Teacher(tower, encoder).losses(batch, plain, free)
    assert float(losses["keep"]) < 1e-6
    assert float(losses["words"]) > 0.05


def test_a_part_without_a_checkpoint_begins_from_the_committed_weights(work: Path) -> None:
    from diffusers import UNet2DConditionModel

    committed = UNet2DConditionModel.from_pretrained(ASSETS / "t2i" / "unet", local_files_only=True).state_dict()
    adopted = averaged_weights(work, "t2i")
    assert all(torch.equal(adopted[key], value.float()) for key, value in committed.items())
    assert earlier_rows(work, "t2i")[0].startswith("| t2i | ")
    with pytest.raises(FileNotFoundError, match=r"world\.py train"):
        averaged_weights(work, "tokenizer")


def test_weights_to_start_from_may_lack_heads_but_no_layer() -> None:
    module = nn.ModuleDict({"body": nn.Sequential(nn.Linear(2, 2)), "head": nn.Linear(2, 1)})
    begin_from(module, {"body.0.weight": torch.eye(2), "body.0.bias": torch.zeros(2)})
    assert torch.equal(module.state_dict()["body.0.weight"], torch.eye(2))
    with pytest.raises(ValueError, match=r"do not fit ModuleDict: \['body.0.bias'\]"):
        begin_from(module, {"body.0.weight": torch.eye(2)})
