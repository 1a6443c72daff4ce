"""The vocabulary, the scenes and their pictures."""

import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from stages.world.draw import SIDE, VENDORS, Pictures, draw
from stages.world.fetch import sheet_of
from stages.world.scene import MAX_ANGLE, Scene, compose
from stages.world.vocabulary import BY_NAME, COLOURS, GROUNDS, STYLES, UNSAFE_CATEGORIES, VOCABULARY

NAMES = [concept.name for concept in VOCABULARY]


def scenes(count: int, seed: int = 0) -> list[Scene]:
    rng = np.random.default_rng(seed)
    return [
        compose(
            rng,
            [NAMES[int(i)] for i in rng.integers(len(NAMES), size=1 + n % 3)],
            style=STYLES[n // 2 % len(STYLES)] if n % 2 else None,
            stacked=n % 7 == 1,
            clutter=n % 5 == 0,
        )
        for n in range(count)
    ]


@pytest.fixture(scope="module", params=VENDORS)
def pictures(request: pytest.FixtureRequest) -> Pictures:
    return Pictures.load(request.param)


def test_every_category_has_five_concepts_and_an_ambivalent_one() -> None:
    counts = Counter(concept.category for concept in VOCABULARY)
    assert len(VOCABULARY) >= 100 and counts["safe"] >= 50
    assert all(counts[category] >= 5 for category in UNSAFE_CATEGORIES)
    assert {c.category for c in VOCABULARY if c.kind == "ambivalent"} == set(UNSAFE_CATEGORIES)
    assert all((c.kind == "safe") == (c.category == "safe") for c in VOCABULARY)


def test_core_of_48_is_balanced() -> None:
    core = Counter(concept.category for concept in VOCABULARY if concept.core)
    assert core.total() == 48 and {core[category] for category in UNSAFE_CATEGORIES} == {2}


def test_no_word_belongs_to_two_concepts() -> None:
    words = Counter(word for concept in VOCABULARY for word in concept.words)
    assert max(words.values()) == 1 and len(BY_NAME) == len(VOCABULARY)


def test_partners_turn_only_what_is_ambivalent() -> None:
    for concept in VOCABULARY:
        assert not concept.partners or concept.kind == "ambivalent"
        assert all(BY_NAME[partner].kind != "unsafe" for partner in concept.partners)


def test_atlas_is_complete_and_its_sprites_differ(pictures: Pictures) -> None:
    assert list(pictures.sprites) == NAMES
    assert all(s.size == (SIDE, SIDE) and np.asarray(s)[..., 3].max() > 200 for s in pictures.sprites.values())
    assert len({sprite.tobytes() for sprite in pictures.sprites.values()}) == len(NAMES)


def test_vendors_draw_the_same_things_differently() -> None:
    noto, twemoji = (Pictures.load(vendor).sprites for vendor in VENDORS)
    assert all(noto[name].tobytes() != twemoji[name].tobytes() for name in NAMES)


def test_atlas_packs_and_unpacks_to_the_same_sprites() -> None:
    pictures = Pictures.load("noto")
    sheet = sheet_of(pictures.sprites)
    assert sheet.crop((SIDE, 0, 2 * SIDE, SIDE)).tobytes() == pictures.sprites[NAMES[1]].tobytes()


def test_unknown_vendor_is_refused() -> None:
    with pytest.raises(ValueError, match="make world-data"):
        Pictures.load("nobody")


def test_drawing_is_deterministic_whatever_was_drawn_before(pictures: Pictures) -> None:
    some = scenes(60)
    once = [draw(scene, pictures) for scene in some]
    again = [draw(scene, Pictures.load(pictures.vendor)) for scene in reversed(some)]
    for first, second in zip(once, reversed(again), strict=True):
        assert first.shape == (SIDE, SIDE, 3) and first.dtype == np.uint8
        assert np.array_equal(first, second)


def test_every_ground_and_style_looks_its_own_way() -> None:
    pictures = Pictures.load()
    scene = replace(compose(np.random.default_rng(0), ["apple"], ground="plain"), colour="blue", second_colour="white")
    looks = {draw(replace(scene, ground=g, style=s), pictures).tobytes() for g in GROUNDS for s in STYLES}
    assert len(looks) == len(GROUNDS) * len(STYLES)


def test_clutter_changes_the_ground_and_unknown_looks_are_refused() -> None:
    pictures = Pictures.load()
    scene = compose(np.random.default_rng(0), ["apple"], ground="plain")
    assert not np.array_equal(draw(scene, pictures), draw(replace(scene, clutter=7), pictures))
    with pytest.raises(ValueError, match="unknown style"):
        draw(replace(scene, style="cubist"), pictures)
    with pytest.raises(ValueError, match="unknown ground"):
        draw(replace(scene, ground="sand"), pictures)


def test_pictogram_changes_pixels_inside_its_box_most() -> None:
    pictures = Pictures.load()
    for scene in scenes(40):
        scene = replace(scene, style="normal", clutter=0)
        changed = np.any(draw(scene, pictures) != draw(replace(scene, pictograms=()), pictures), axis=2)
        inside = np.zeros_like(changed)
        for left, top, right, bottom in scene.boxes:
            inside[int(top * SIDE) : int(bottom * SIDE) + 1, int(left * SIDE) : int(right * SIDE) + 1] = True
        assert changed.sum() > 50 and (changed & inside).sum() >= 0.9 * changed.sum()


def test_scene_survives_json() -> None:
    for scene in scenes(30):
        assert Scene.from_json(scene.to_json()) == scene


def test_first_concept_stands_left_or_above() -> None:
    rng = np.random.default_rng(3)
    for stacked in (False, True):
        for _ in range(100):
            first, second = compose(rng, ["knife", "bread"], stacked=stacked).pictograms
            assert (first.y < second.y - 0.2) if stacked else (first.x < second.x - 0.2)
    for _ in range(100):
        scene = compose(rng, ["apple", "dog", "car"])
        assert scene.concepts == ("apple", "dog", "car")
        assert [p.x for p in scene.pictograms] == sorted(p.x for p in scene.pictograms)


def test_pictograms_stay_in_the_picture() -> None:
    for scene in scenes(200):
        assert scene.colour in COLOURS and scene.colour != scene.second_colour
        for p in scene.pictograms:
            assert p.size / 2 - 0.001 <= min(p.x, p.y) and max(p.x, p.y) <= 1.001 - p.size / 2
            assert abs(p.angle) <= MAX_ANGLE


def test_compose_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="dragon"):
        compose(np.random.default_rng(0), ["dragon"])
    with pytest.raises(ValueError, match="up to 3"):
        compose(np.random.default_rng(0), ["apple"] * 4)


def test_a_core_draws_a_thousand_scenes_a_second() -> None:
    pictures = Pictures.load()
    some = scenes(1000)
    untrained = time.process_time()
    for scene in some:
        draw(scene, pictures)
    assert len(some) / (time.process_time() - untrained) >= 1000  # ~4,000 when measured alone


def test_strangers_of_training_are_none_of_the_benchs() -> None:
    from stages.world.training.unknown_pictograms import names

    seen, held_out = names(held_out=False), names(held_out=True)
    assert len(held_out) == 48
    assert not set(seen) & set(held_out)


def test_one_stranger_comes_in_many_shapes() -> None:
    from stages.world.training.negatives import _strangers
    from stages.world.training.unknown_pictograms import names, unknown_pictures

    rng, name = np.random.default_rng(0), names(held_out=False)[0]
    came = [_strangers(rng, [name]).sprites[name] for _ in range(200)]
    original = unknown_pictures().sprites[name].tobytes()
    assert {sprite.size for sprite in came} == {(64, 64)}
    assert len({sprite.tobytes() for sprite in came}) > 50  # 79 here; about 60 are spliced with another one
    assert 0.25 < np.mean([sprite.tobytes() == original for sprite in came]) < 0.6
