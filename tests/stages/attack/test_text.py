"""Attacks on words: seeded by the key, within their budget, true to what they say of the truth, and never past the gate."""

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import InputError
from schemas.prompt import Prompt
from schemas.sample import Sample
from stages.attack.letters import letters
from stages.attack.text.distractors import Distractors
from stages.attack.text.homoglyphs import Homoglyphs, look_alikes
from stages.attack.text.misread import Misread
from stages.attack.text.spacing import Spacing
from stages.attack.text.swaps import Swaps
from stages.attack.text.synonyms import Synonyms, read_groups
from stages.attack.text.typos import Typos, neighbours
from stages.attack.text_attack import TextAttack
from stages.prompts.gate import Gate
from stages.prompts.normalise import GAP, fold, readings
from stages.prompts.terms import by_class
from stages.world import reader
from tests.support.plugins import stage_classes

MODELS = (
    "TokenSubstitution",
    "EmbeddingMatching",
    "Paraphrase",
)  # they need a model: tests/stages/attack/test_token_attacks.py
ATTACKS = [cls() for cls in stage_classes() if issubclass(cls, TextAttack) and cls.__name__ not in MODELS]
each = pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
PROMPT = "a picture of a crimson dagger beside two lovely kittens"
GATE = Gate.of(
    by_class({
        "minor": ["zorblet"], "sexual": ["quaxify*"], "violence": ["blorvane*"], "self_harm": ["glimmsted"],
        "number": ["seven"], "tens": ["twenty"],
    })
)  # fmt: skip


def roots(*prompts: str) -> list[Sample]:
    return [Sample.from_prompt(Prompt(prompt), 0).with_(batch_row=row) for row, prompt in enumerate(prompts)]


@each
def test_variants_are_children_that_differ_are_not_clean_and_depend_on_the_key_alone(attack: TextAttack) -> None:
    many = replace(attack, variants=3)
    batch = roots(PROMPT, PROMPT.upper(), "a vulture on the hill with a grey cloud")
    children = list(many.open()(batch))
    alone = list(many.open()(batch[2:]))
    assert [child.prompt for child in children if child.parent == batch[2].key] == [child.prompt for child in alone]
    assert any(child.parent == batch[0].key for child in children)
    for child in children:
        parent = next(root for root in batch if root.key == child.parent)
        record = child.attack
        assert record is not None and record.edits is not None and record.edits <= attack.edit_budget
        assert child.prompt != parent.prompt and child.generation_prompt == child.prompt and not child.clean
        assert record.preserves == attack.preserves and record.success and record.seed is not None
        child.prompt.encode()
    assert len({child.key for child in children}) == len(children)


@each
def test_a_confounders_drawn_words_are_left_alone(attack: TextAttack) -> None:
    (root,) = [root.with_(generation_prompt="a red key") for root in roots(PROMPT)]
    assert all(child.generation_prompt == "a red key" for child in attack.open()([root]))


@each
@settings(max_examples=40, deadline=None)
@given(text=st.text(max_size=60), seed=st.integers(0, 2**63 - 1))
def test_any_unicode_goes_in_and_valid_unicode_comes_out(attack: TextAttack, text: str, seed: int) -> None:
    made = attack.rewrite(text, seed)
    assert made == attack.rewrite(text, seed) and 0 <= made.edits <= attack.edit_budget
    assert (made.edits > 0) or made.text == text
    made.text.encode()


@each
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**63 - 1))
def test_what_claims_to_preserve_can_be_read_back_by_normalising(attack: TextAttack, seed: int) -> None:
    if not attack.preserves:
        pytest.skip("its truth is read anew")
    made = attack.rewrite(PROMPT, seed)
    bare = [re.sub(r"\W", "", reading) for reading in readings(made.text).split(GAP)]
    assert re.sub(r"\W", "", fold(PROMPT)) in bare, made.text


@each
def test_the_gate_holds_on_what_comes_out_and_on_whose_child_it_is(attack: TextAttack) -> None:
    """Placeholders: "zorblet" stands for a minor, "quaxify" for harm."""
    guarded = replace(attack, gate=GATE, variants=20)
    assert not list(guarded.open()(roots("a zorblet they quaxify on the hill")))
    if attack.preserves:
        texts = [attack.rewrite("a zorblet they quaxify on the hill", seed).text for seed in range(200)]
        refused = [GATE.refusal(text) for text in texts]
        assert refused.count(None) == 0, texts[refused.index(None)]


def test_the_gate_holds_where_the_attack_itself_brings_the_words() -> None:
    attack = Distractors(gate=GATE, prefixes=("they quaxify",), suffixes=("and quaxify",), variants=10)
    assert not list(attack.open()(roots("a zorblet on the hill")))
    assert list(attack.open()(roots("a tree on the hill")))


def test_letters_keep_their_marks() -> None:
    assert letters("e\u0301a\u200db") == ["e\u0301", "a\u200db"]
    assert "".join(letters("क्षि 👩\u200d🚀")) == "क्षि 👩\u200d🚀"


def test_tables_say_what_they_should() -> None:
    assert "а" in look_alikes("a") and look_alikes("é") == ()
    assert set(neighbours("s")) == {"a", "d", "w", "e", "z", "x"} and neighbours("S")[0].isupper()
    assert re.fullmatch(r"one k(\W|_)n\1i\1f\1e", Spacing().rewrite("one knife", 1).text)
    assert Misread().rewrite("modern", 3).edits == 2


def test_a_synonym_of_the_world_keeps_what_its_reader_reads() -> None:
    for seed in range(20):
        made = Synonyms().rewrite("a crimson demon in aquarelle style", seed).text
        assert reader.read(made).concepts == ("devil",) and reader.read(made).colour == "red", made


def test_the_ends_of_a_word_stay() -> None:
    for seed in range(30):
        first, last = (made := Swaps(edit_budget=1).rewrite("dagger", seed).text)[0], made[-1]
        assert (first, last) == ("d", "r"), made


def test_a_lexicon_is_read_from_a_file_and_a_bad_one_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "lexicon.tsv"
    path.write_text("car\tautomobile\nalone\n")
    assert Synonyms(groups=read_groups(path)).rewrite("A car", 0).text == "A automobile"
    with pytest.raises(InputError, match="can't be read"):
        read_groups(tmp_path / "none.tsv")
    with pytest.raises(InputError, match="budget"):
        Typos(edit_budget=-1)
    assert Homoglyphs(edit_budget=0).rewrite(PROMPT, 0).text == PROMPT
