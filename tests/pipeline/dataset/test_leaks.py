"""Leakage planted by hand never crosses splits."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.dataset.verify import verify_run
from pipeline.selection.edges import GroupRules
from pipeline.selection.splits import SplitRules, held_out_attack, held_out_generator
from pipeline.storage.store import Store
from schemas.sample import Pixels
from tests.support.planted import Pair, groups, pair, plant, recipe, shards, variant

BACKGROUND = 120


def problems(store: Store) -> list[str]:
    """What `verify` says of a run."""
    return verify_run(store, GroupRules()).problems


def jpeg(pixels: Pixels, quality: int = 75) -> Pixels:
    """The picture after JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


@pytest.fixture
def background() -> list[Pair]:
    """Unrelated pairs, enough for all splits."""
    return [pair(number) for number in range(BACKGROUND)]


def of_split(store: Store, pairs: list[Pair], split: str) -> list[Pair]:
    """The pairs that are in a split."""
    found = groups(store)
    return [one for one in pairs if found[one.sample.key]["split"] == split]


def test_unrelated_pairs_are_groups_of_their_own_and_fill_the_splits(tmp_path: Path, background: list[Pair]) -> None:
    store = plant(str(tmp_path / "run"), background, tmp_path / "files")
    manifest = shards(store)
    assert manifest["made_from"]["groups"] == BACKGROUND
    assert manifest["made_from"]["kept"] == {"train": 96, "val": 12, "test": 12}
    assert problems(store) == []


def test_the_same_picture_under_two_prompts_is_one_group_and_kept_once(tmp_path: Path, background: list[Pair]) -> None:
    twins = [pair(500 + i, text=f"quite another text {i}", pixels=one.pixels) for i, one in enumerate(background[:30])]
    store = plant(str(tmp_path / "run"), background + twins, tmp_path / "files")
    shards(store)
    found = groups(store)
    for one, twin in zip(background, twins, strict=False):
        first, second = found[one.sample.key], found[twin.sample.key]
        assert (first["group"], first["split"]) == (second["group"], second["split"])
        winner, loser = (one, second) if first["kept"] else (twin, first)
        assert (loser["reason"], loser["detail"]) == ("duplicate", winner.sample.key)
        assert winner.sample.key == min(one.sample.key, twin.sample.key)
    assert problems(store) == []


def test_a_prompt_with_homoglyphs_goes_with_the_plain_one(tmp_path: Path, background: list[Pair]) -> None:
    alike = [pair(700 + i, text=f"plаnted  PICTURE number {i}") for i in range(30)]
    store = plant(str(tmp_path / "run"), background + alike, tmp_path / "files")
    shards(store)
    found = groups(store)
    for one, other in zip(background, alike, strict=False):
        assert found[one.sample.key]["group"] == found[other.sample.key]["group"]
        assert found[one.sample.key]["kept"] and found[other.sample.key]["kept"]
    assert problems(store) == []


def test_a_jpeg_of_a_train_picture_stays_in_train(tmp_path: Path, background: list[Pair]) -> None:
    store = plant(str(tmp_path / "run"), background, tmp_path / "files")
    shards(store)
    originals = of_split(store, background, "train")[:20]
    copies = [pair(800 + i, pixels=jpeg(one.pixels)) for i, one in enumerate(originals)]
    plant(store.url, copies, tmp_path / "files")
    shards(store)
    found = groups(store)
    for one, copy in zip(originals, copies, strict=True):
        assert found[copy.sample.key]["split"] == "train"
        assert found[copy.sample.key]["detail"] == one.sample.key, "what was kept first wins"
    assert problems(store) == []


def test_a_grid_of_train_and_test_pictures_is_left_out_and_listed(tmp_path: Path, background: list[Pair]) -> None:
    store = plant(str(tmp_path / "run"), background, tmp_path / "files")
    shards(store)
    trained, tested = of_split(store, background, "train")[:2], of_split(store, background, "test")[:2]
    mixed = variant(trained[0], "grid", parents=[trained[0], trained[1], tested[0]])
    pure = variant(tested[1], "grid", parents=[tested[0], tested[1]])
    plant(store.url, [mixed, pure], tmp_path / "files")
    manifest = shards(store)
    found = groups(store)
    assert (found[mixed.sample.key]["kept"], found[mixed.sample.key]["reason"]) == (False, "bridge")
    assert (found[pure.sample.key]["kept"], found[pure.sample.key]["split"]) == (True, "test")
    assert manifest["made_from"]["left_out"] == {"bridge": 1}
    assert problems(store) == []


def test_variants_stay_with_their_root_and_are_never_duplicates(tmp_path: Path, background: list[Pair]) -> None:
    variants = [variant(one, name) for one in background[:40] for name in ("noise", "blur")]  # the same pixels twice
    store = plant(str(tmp_path / "run"), background + variants, tmp_path / "files")
    shards(store)
    found = groups(store)
    for one in variants:
        assert found[one.sample.key]["kept"]
        assert found[one.sample.key]["group"] == found[one.sample.root]["group"]
    assert problems(store) == []


def test_no_split_changes_as_the_run_grows(tmp_path: Path, background: list[Pair]) -> None:
    store = plant(str(tmp_path / "run"), background[:60], tmp_path / "files")
    shards(store)
    for first in (60, 80, 100):
        before = groups(store)
        near = [pair(first + 900 + i, pixels=jpeg(background[i].pixels, 90)) for i in range(5)]
        plant(store.url, background[first : first + 20] + near, tmp_path / "files")
        shards(store)
        after = groups(store)
        assert {key: after[key]["split"] for key in before} == {key: row["split"] for key, row in before.items()}
        assert problems(store) == []
    splits = [row["split"] for row in after.values() if row["kept"]]
    assert [splits.count(name) for name in ("train", "val", "test")] == [96, 12, 12]


def test_growing_in_steps_or_at_once_gives_the_same_groups(tmp_path: Path, background: list[Pair]) -> None:
    near = [pair(950 + i, pixels=jpeg(background[i].pixels, 90)) for i in range(10)]
    once = plant(str(tmp_path / "once"), [*near, *background], tmp_path / "files")
    shards(once)
    shards(once)  # again, with splits already assigned
    assert problems(once) == []
    assert {row["group"] for row in groups(once).values()} == {
        min(a.sample.key, b.sample.key) if b else a.sample.key for a, b in _twins(background, near)
    }


def _twins(background: list[Pair], near: list[Pair]) -> list[tuple[Pair, Pair | None]]:
    return [(one, near[i] if i < len(near) else None) for i, one in enumerate(background)]


def test_what_is_held_out_is_tested_and_never_trained_on(tmp_path: Path, background: list[Pair]) -> None:
    foreign = [pair(600 + i, text=one.sample.prompt, generator="foreign") for i, one in enumerate(background[:40])]
    alone = [pair(650 + i, text=f"only foreign {i}", generator="foreign") for i in range(10)]
    attacked = [variant(one, "secret", "joint") for one in background]
    foreign = [Pair(one.sample.derive("again", 0), one.pixels) for one in foreign]
    pairs = [*background, *foreign, *alone, *attacked]
    store = plant(str(tmp_path / "run"), pairs, tmp_path / "files")
    splits = SplitRules(held_out=(held_out_generator("foreign"), held_out_attack("joint")))
    shards(store, recipe(splits=splits))
    found = groups(store)
    for one in foreign + attacked:
        row, root = found[one.sample.key], found[one.sample.root]
        assert row["kept"] == (root["split"] == "test"), "beside training samples it would be trained on"
        assert row["reason"] == (None if row["kept"] else "held_out")
    for one in alone:
        assert (found[one.sample.key]["split"], found[one.sample.key]["test_set"]) == ("test", "generator:foreign")
    assert problems(store) == []


def test_a_blank_picture_is_left_out_and_ties_nothing(tmp_path: Path, background: list[Pair]) -> None:
    grey = np.full((64, 64, 3), 128, dtype=np.uint8)
    blank = [pair(400 + i, text=f"nothing to see {i}", pixels=grey) for i in range(9)]
    store = plant(str(tmp_path / "run"), background + blank, tmp_path / "files")
    manifest = shards(store)
    assert manifest["made_from"]["left_out"] == {"blank": 9}
    assert manifest["made_from"]["largest_group"]["size"] == 1


def test_the_largest_group_names_the_edge_that_glued_it(tmp_path: Path) -> None:
    left = [pair(i, text="the left prompt", seed=i) for i in range(6)]
    right = [pair(20 + i, text="the right prompt", seed=i) for i in range(4)]
    left = [Pair(one.sample.derive("draw", i), one.pixels) for i, one in enumerate(left)]
    right = [Pair(one.sample.derive("draw", i), one.pixels) for i, one in enumerate(right)]
    glue = Pair(right[0].sample, jpeg(left[0].pixels, 90))
    store = plant(str(tmp_path / "run"), [*left, glue, *right[1:], pair(99)], tmp_path / "files")
    biggest = shards(store)["made_from"]["largest_group"]
    assert biggest["size"] == 10
    assert biggest["glue"]["kind"] == "picture" and biggest["glue"]["joined"] == [4, 6]
    assert {biggest["glue"]["a"], biggest["glue"]["b"]} == {left[0].sample.key, glue.sample.key}
