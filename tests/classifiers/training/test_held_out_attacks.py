"""Whole attacks are kept out of training, so that a defence can be judged on some that it never met."""

from pathlib import Path

import pyarrow.parquet as pq

from jobs.recipes.sharding import PICTOGRAM_HELD_OUT, pictogram
from stages.attack.by_name import attack_classes
from tests.support.planted import groups, pair, plant, shards, variant

HELD_OUT = tuple(one.name.removeprefix("attack:") for one in PICTOGRAM_HELD_OUT if one.name.startswith("attack:"))


def test_one_attack_on_words_one_on_pixels_and_one_by_hand_are_held_out() -> None:
    kinds = attack_classes()
    assert {(kinds[name].family, kinds[name].knowledge) for name in HELD_OUT} == {
        ("text", "non_adaptive"),
        ("image", "grey_box"),
        ("image", "non_adaptive"),
    }


def test_held_out_attacks_reach_test_and_never_train_or_val(tmp_path: Path) -> None:
    roots = [pair(number) for number in range(60)]
    variants = [variant(root, name) for root in roots for name in (*HELD_OUT, "pgd")]
    store = plant(str(tmp_path / "run"), roots + variants, tmp_path / "files")
    shards(store, pictogram())
    names = {one.sample.key: one.sample.attack.name for one in variants if one.sample.attack is not None}
    found = groups(store)
    for key, name in names.items():
        tested = found[key]["split"] == "test"
        assert found[key]["kept"] == (tested or name == "pgd"), (name, found[key])
        if tested and name in HELD_OUT:
            assert found[key]["test_set"] == f"attack:{name}"
    seen: dict[str, set[str]] = {split: set() for split in ("train", "val", "test")}
    for path in Path(store.url, "shards").glob("*/*.parquet"):
        seen[path.parent.name] |= {names.get(key, "none") for key in pq.read_table(path)["key"].to_pylist()}
    assert seen["train"] == seen["val"] == {"none", "pgd"} and seen["test"] == {"none", "pgd", *HELD_OUT}
