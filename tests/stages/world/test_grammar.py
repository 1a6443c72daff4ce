"""The language, its reader and the grammar."""

from collections import Counter
from dataclasses import asdict

import numpy as np
import pytest

from schemas.errors import InputError
from stages.world import truth
from stages.world.captions import caption, misspell, request_of, scene_of
from stages.world.confounders import CELLS
from stages.world.grammar import CYCLE, LIMIT, make, numbers_of, prompt_at, prompts
from stages.world.language import COLOUR_WORDS, COMPOUNDS, FUNCTION_WORDS, GROUND_WORDS, STYLE_WORDS, words
from stages.world.purposes import PURPOSES
from stages.world.reader import PUNCTUATION, Reading, read
from stages.world.scene import compose
from stages.world.vocabulary import BY_NAME, COLOURS, GROUNDS, STYLES, UNSAFE_CATEGORIES, VOCABULARY

NAMES = [concept.name for concept in VOCABULARY]


@pytest.mark.parametrize("held_out", [False, True])
def test_reader_inverts_every_clean_caption(held_out: bool) -> None:
    rng = np.random.default_rng(5)
    for n in range(3000):
        names = [NAMES[int(i)] for i in rng.integers(len(NAMES), size=1 + n % 3)]
        names = [names[0]] * 2 if n % 11 == 1 else names
        scene = compose(rng, names, style=STYLES[n % len(STYLES)], stacked=n % 4 == 1, clutter=n % 5 == 0)
        said = caption(scene, rng, typos=0, drop=0, held_out=held_out)
        expected = asdict(request_of(scene)) | {"unknown": ()}
        got = asdict(read(said)) | {"purpose": None}
        got["style"] = got["style"] or "normal"
        assert got == expected, said


@pytest.mark.parametrize("held_out", [False, True])
def test_reader_inverts_every_prompt_of_the_grammar(held_out: bool) -> None:
    for index in range(5000):
        made = prompt_at(1, index, held_out=held_out)
        judged, drawn = read(made.prompt), read(made.generation_prompt)
        assert judged.complete and drawn.complete, made
        assert drawn.concepts == made.concepts
        found = truth.of_pair(judged, drawn.concepts)
        assert ("unsafe" if found.unsafe else "safe") == made.label, made
        assert made.category in (found.categories or ("safe",))


def test_unknown_words_are_returned_and_not_guessed() -> None:
    reading = read("a picture of a knfie and Two Apples, zorgle, ready to gamble")
    assert reading == Reading(concepts=("apple", "apple"), purpose="gamble", unknown=("knfie", "zorgle"))
    assert not reading.complete
    assert read("k\u0438ife").unknown == ("k\u0438ife",)  # a Cyrillic letter
    assert read("") == Reading()
    assert read("red blue green").unknown == ("green",)


def test_no_word_means_two_things() -> None:
    nouns = [word for concept in VOCABULARY for word in concept.words]
    attributes = [w for table in (COLOUR_WORDS, GROUND_WORDS, STYLE_WORDS) for ws in table.values() for w in ws]
    meant = Counter(nouns + attributes)
    assert max(meant.values()) == 1
    assert not meant.keys() & FUNCTION_WORDS
    assert not meant.keys() & {word for p in PURPOSES for phrase in p.phrases for word in phrase.split()}
    phrases = [phrase for p in PURPOSES for phrase in p.phrases]
    assert len(set(phrases)) == len(phrases)


def test_words_hold_all_that_is_ever_said() -> None:
    known = set(words())
    rng = np.random.default_rng(0)
    for index in range(3000):
        made = prompt_at(2, index, held_out=bool(index % 2))
        scene = scene_of(read(made.generation_prompt), rng)
        for text in (made.prompt, made.generation_prompt, caption(scene, rng, typos=0)):
            assert {word.strip(PUNCTUATION) for word in text.split()} <= known, text


def test_typos_change_letters_and_never_the_number_of_words() -> None:
    rng = np.random.default_rng(0)
    text = "a picture of the strawberry beside some bread"
    changed = sum(misspell(text, rng, 0.5) != text for _ in range(200))
    assert changed > 150
    assert misspell(text, rng, 0.0) == text
    assert all(len(misspell(text, rng, 1.0).split(" ")) == 8 for _ in range(100))


def test_captions_leave_attributes_out_as_often_as_asked() -> None:
    rng = np.random.default_rng(1)
    scene = compose(rng, ["apple"], colour="red", ground="striped")
    colourless = np.mean([read(caption(scene, rng, typos=0, drop=0.2)).colour is None for _ in range(2000)])
    assert 0.16 < colourless < 0.24
    assert read(caption(scene, rng, typos=0, drop=1.0)).ground is None


def test_scene_of_a_reading_shows_what_was_asked() -> None:
    rng = np.random.default_rng(4)
    for index in range(300):
        asked = read(prompt_at(0, index).generation_prompt)
        scene = scene_of(asked, rng)
        assert (scene.concepts, scene.colour, scene.ground, scene.stacked) == (
            asked.concepts, asked.colour, asked.ground, asked.stacked,
        )  # fmt: skip
        assert scene.style == (asked.style or "normal") and bool(scene.clutter) == asked.clutter


def test_prompts_do_not_depend_on_how_many_are_made() -> None:
    assert list(prompts(7, 40)) == list(prompts(7, 400))[:40]
    assert list(prompts(7, 400, start=390)) == list(prompts(7, 400))[390:]
    assert [p.prompt for p in prompts(7, 20)] != [p.prompt for p in prompts(8, 20)]


def test_no_prompt_comes_twice() -> None:
    seen = {prompt.prompt for prompt in prompts(3, 100_000)}
    assert len(seen) == 100_000


def test_every_stream_has_choices_for_all_its_numbers() -> None:
    for index in range(5000):
        slot = CYCLE[index % len(CYCLE)]
        assert make(0, index)[1] >= numbers_of(slot.stream), slot


def test_more_prompts_than_there_are_is_refused() -> None:
    with pytest.raises(InputError, match="different prompts"):
        prompts(0, LIMIT + 1)


@pytest.mark.parametrize("count", [10 * len(CYCLE), 1000])
def test_prompts_are_balanced_over_labels_categories_and_kinds(count: int) -> None:
    made = list(prompts(0, count))
    labels = Counter(p.label for p in made)
    categories = Counter(p.category for p in made if p.label == "unsafe")
    assert abs(labels["safe"] - labels["unsafe"]) <= count * 0.02
    assert set(categories) == set(UNSAFE_CATEGORIES)
    assert max(categories.values()) <= 1.3 * min(categories.values())
    assert {p.kind for p in made} == {"plain", "pair", "look_alike", "confounder", "purpose"}
    assert all(p.label == "safe" for p in made if p.kind == "look_alike")


def test_only_confounders_draw_another_prompt_than_is_judged() -> None:
    for made in prompts(0, 1000):
        assert (made.prompt != made.generation_prompt) == (made.kind == "confounder")
        assert made.kind != "confounder" or (not read(made.prompt).concepts and read(made.prompt).purpose)


def test_confounder_cells_come_equally_often() -> None:
    made = [p for p in prompts(0, 5 * len(CYCLE)) if p.kind == "confounder"]
    cells = Counter((p.concepts[0], read(p.prompt).purpose, p.label) for p in made)
    expected = Counter((c.object, c.purpose, "unsafe" if c.unsafe else "safe") for c in CELLS)
    assert cells == Counter({cell: 5 * n for cell, n in expected.items()})


def test_compounds_are_harmless_and_hold_an_ambivalent_object() -> None:
    for first, second in COMPOUNDS:
        assert BY_NAME[first].kind == "safe" and BY_NAME[second].kind == "ambivalent"
        assert not truth.of_picture((first, second)).unsafe
    assert read("the bread knife on plain red").concepts == ("bread", "knife")


def test_every_colour_ground_and_style_is_said() -> None:
    readings = [read(p.generation_prompt) for p in prompts(0, 2000)]
    assert {r.colour for r in readings} == set(COLOURS)
    assert {r.ground for r in readings} == set(GROUNDS)
    assert {r.style or "normal" for r in readings} == set(STYLES)
