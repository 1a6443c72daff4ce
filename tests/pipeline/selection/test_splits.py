"""Splits are a stable hash of the group, near their shares in every stratum, and never change."""

from collections import Counter

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.selection.splits import HeldOut, SplitRules, assign, held_out_style, mark_held_out
from schemas.errors import InputError
from schemas.identity import derived_key

Split = dict[str, str]


def split(
    keys: list[str],
    rules: SplitRules,
    before: Split | None = None,
    own_stratum: bool = False,
    labels: Split | None = None,
) -> Split:
    """Each key a group of its own; the key's last digit decides its source. With `labels` one source claims no category."""
    rows = [
        {
            "id": number,
            "key": key,
            "root": key,
            "clean": True,
            "source": str(int(key[-1], 16) % 3) if labels is None else "mine.csv",
            "category": "safe" if labels is None else None,
            "generator": key if own_stratum else "g",
            "style": "sketch" if key[0] == "0" else "normal",
            "was_split": (before or {}).get(key),
        }
        for number, key in enumerate(sorted(keys))
    ]
    with duckdb.connect() as con:
        con.register("given", pa.Table.from_pylist(rows))
        con.execute("CREATE TABLE facts AS SELECT * REPLACE (was_split::VARCHAR AS was_split) FROM given")
        con.execute("CREATE TABLE component AS SELECT id, id AS number, false AS bridge FROM facts")
        mark_held_out(con, rules)
        said = pa.table({"key": list(labels or {}), "pair_label": pa.array((labels or {}).values(), pa.string())})
        con.register("said", said)
        con.execute("CREATE TABLE labelled AS SELECT *, NULL AS image_label, NULL AS prompt_label FROM said")
        assign(con, rules)
        return dict(con.execute("SELECT name, split FROM groups").fetchall())


def keys(count: int) -> list[str]:
    return [derived_key("split test", number) for number in range(count)]


def test_every_stratum_is_near_its_shares() -> None:
    found = split(keys(900), SplitRules(train=0.7, val=0.1))
    for source in range(3):
        mine = Counter(found[key] for key in found if int(key[-1], 16) % 3 == source)
        total = sum(mine.values())
        assert abs(mine["train"] - 0.7 * total) <= 1 and abs(mine["val"] - 0.1 * total) <= 1


def test_prompts_that_claim_no_category_are_split_by_the_label_of_their_pair() -> None:
    labels = {key: "unsafe" if number % 10 == 0 else "safe" for number, key in enumerate(keys(200))}
    found = split(keys(200), SplitRules(train=0.7, val=0.1), labels=labels)
    for label, total in (("unsafe", 20), ("safe", 180)):
        mine = Counter(found[key] for key in found if labels[key] == label)
        assert abs(mine["train"] - 0.7 * total) <= 1 and abs(mine["val"] - 0.1 * total) <= 1 and mine["test"] > 0


def test_strata_of_one_group_fill_all_splits_too() -> None:
    found = Counter(split(keys(200), SplitRules(salt="one", train=0.5, val=0.25), own_stratum=True).values())
    assert 70 < found["train"] < 130 and 25 < found["val"] < 80 and 25 < found["test"] < 80


@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(1, 120), min_size=1, max_size=4))
def test_no_group_changes_its_split_as_others_come(cuts: list[int]) -> None:
    found: Split = {}
    count = 0
    for cut in cuts:
        count += cut
        grown = split(keys(count), SplitRules(), found)
        assert {key: grown[key] for key in found} == found
        found = grown
    for source in range(3):
        mine = Counter(found[key] for key in found if int(key[-1], 16) % 3 == source)
        assert abs(mine["train"] - 0.8 * sum(mine.values())) <= 2 + len(cuts)


def test_another_salt_is_another_split() -> None:
    first, second = (split(keys(300), SplitRules(salt=salt)) for salt in ("a", "b"))
    assert first == split(keys(300), SplitRules(salt="a")) != second


def test_groups_of_held_out_samples_go_to_test_and_take_no_share() -> None:
    found = split(keys(800), SplitRules(held_out=(held_out_style("sketch"),)))
    assert {found[key] for key in found if key[0] == "0"} == {"test"}
    others = Counter(found[key] for key in found if key[0] != "0")
    assert abs(others["train"] / sum(others.values()) - 0.8) < 0.01


def test_shares_that_leave_no_test_and_nameless_sets_are_refused() -> None:
    with pytest.raises(InputError, match="left for test"):
        SplitRules(train=0.9, val=0.1)
    with pytest.raises(InputError, match="style:sketch"):
        HeldOut("sketch", "true")
