"""Small edits of a prompt lead to the words that were meant, and what nobody edited stays."""

import pickle

import pytest

from classifiers.layers.canonical import Canonical, distance, lexicon_of
from classifiers.layers.encoder import ClipEncoder
from pipeline.storage.weights import model_directory
from schemas.errors import InputError
from stages.attack.text.homoglyphs import Homoglyphs
from stages.attack.text.invisible import Invisible
from stages.attack.text.leetspeak import Leetspeak
from stages.attack.text.misread import Misread
from stages.attack.text.spacing import Spacing
from stages.attack.text.swaps import Swaps
from stages.attack.text.typos import Typos
from stages.attack.text_attack import TextAttack
from stages.world.grammar import prompts

ENCODER = ClipEncoder.from_directory(model_directory("assets/world/clip"))
WORLD = ENCODER.lexicon
PROMPTS = [made.prompt for made in prompts(7, 400)]


def test_prompts_that_nobody_attacked_stay_as_they_are() -> None:
    assert [WORLD(prompt) for prompt in PROMPTS] == [prompt.lower() for prompt in PROMPTS]


@pytest.mark.parametrize(
    ("attack", "least"),
    [
        (Homoglyphs(), 1.0),
        (Invisible(), 1.0),
        (Leetspeak(), 1.0),
        (Spacing(), 1.0),
        (Swaps(), 0.7),
        (Typos(), 0.5),
        (Misread(), 0.5),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_an_attack_that_preserves_the_words_is_undone_and_misspellings_mostly(attack: TextAttack, least: float) -> None:
    back = [WORLD(attack.rewrite(prompt, seed).text) == prompt.lower() for seed, prompt in enumerate(PROMPTS)]
    assert sum(back) / len(back) >= least


@pytest.mark.parametrize("seed", range(3))
def test_reading_twice_changes_nothing_more(seed: int) -> None:
    for prompt in PROMPTS[:100]:
        once = WORLD(Typos().rewrite(Leetspeak().rewrite(prompt, seed).text, seed).text)
        assert WORLD(once) == once


def test_other_languages_and_numbers_are_left_alone() -> None:
    for text in ("привет мир, кошка и собака", "猫と犬", "2 4k 85mm 1920"):
        assert WORLD(text) == text
    assert WORLD("ｋｎｉｆｅ, К n i f e, В0МВ") == "knife, knife, bomb"


def test_only_words_that_are_meant_are_guessed_and_the_nearest_wins() -> None:
    lexicon = Canonical(["knife", "oop", "night"], ["knife", "night"])
    assert lexicon("knfe nihgt zoop qqq") == "knife night zoop qqq"
    assert [distance(*pair) for pair in (("ab", "ba"), ("knife", "knife"), ("", "abc"), ("kitten", "sitting"))] == [
        1,
        0,
        3,
        3,
    ]
    assert pickle.loads(pickle.dumps(lexicon))("knfe") == "knife"
    assert Canonical(["bike", "blue"])("blve") == "blue", "as far from both by look, since i passes for l"


def test_a_word_is_read_in_bounded_time() -> None:
    assert WORLD("z" * 100_000) == "z" * 100_000
    assert WORLD("a " * 5_000).startswith("a")


def test_the_lexicon_is_what_the_tokenizer_knows() -> None:
    lexicon = lexicon_of(ENCODER.tokenizer)
    assert {"knife", "pistol", "ready"} <= lexicon.words and "oop" not in lexicon.meant


def test_a_folder_without_a_clip_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(InputError, match="no CLIPModel with safetensors"):
        ClipEncoder.from_directory(tmp_path_factory.mktemp("empty"))
