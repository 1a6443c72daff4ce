"""Vocabulary in, and what stands behind a writer of prompts: the gate, a count of near-duplicates, a category left out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from pipeline.stage import Stage, Step
from schemas.errors import InputError
from schemas.prompt import Prompt
from schemas.sample import Sample
from stages.generate.render import Render
from stages.prompts.distinct import Distinct, similarity
from stages.prompts.gated import Gated
from stages.prompts.leave_out import LeaveOut
from stages.prompts.normalise import plain, shingles
from stages.prompts.vocabulary import TEMPLATES, VocabularyPrompts, read_words, vocabulary_prompts, world_words
from tests.support.runs import Texts, carry_out, plan_of, rows

PROMPTS = ("a red apple", "a dog on a wall", "two keys", "a house", "a moon")


def samples(*texts: str) -> list[Sample]:
    return [Sample.from_prompt(Prompt(text), 0).with_(batch_row=batch_row) for batch_row, text in enumerate(texts)]


@dataclass(frozen=True, kw_only=True)
class Write(Stage):
    """Stands for a language model that wrote these texts, and a second one that is nearly each."""

    adds: ClassVar[frozenset[str]] = frozenset({"prompt", "generation_prompt"})

    def open(self) -> Step:
        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            for sample in batch:
                for index, text in enumerate((sample.prompt, f"{sample.prompt}!")):
                    yield sample.derive(self.name, index, prompt=text, generation_prompt=text)

        return step


def test_near_duplicates_are_counted_and_dropped(tmp_path: Path) -> None:
    plan = plan_of(Texts(PROMPTS), Write(), Distinct(), Render())
    (receipt,) = carry_out(tmp_path, plan).receipts()
    counts = {count.stage: (count.taken, count.given, count.dropped) for count in receipt.stages}
    assert counts["distinct"] == (10, 5, 5)
    assert sorted(rows(tmp_path)["prompt"].to_pylist()) == sorted(PROMPTS)


def shingled(text: str) -> frozenset[str]:
    return shingles(plain(text))


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
                    yield sample.derive("slip", 0, prompt=text, generation_prompt=text)

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
    assert [sample.batch_row for sample in LeaveOut().open()(batch)] == [0, 5]
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
    assert [prompt.text for prompt in VocabularyPrompts(20)] == [prompt.text for prompt in prompts[:20]]


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
