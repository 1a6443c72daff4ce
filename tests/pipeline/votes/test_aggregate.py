"""What many votes come to: by majority, by Dawid and Skene; coverage, people, gold; agreement beyond chance."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from bench.labels.crowd import crowd
from pipeline.votes.agreement import agreement_table, fleiss_kappa, krippendorff_alpha, measures
from pipeline.votes.ballots import ballots_of
from pipeline.votes.labels import METHODS, Policy, labels_of
from pipeline.votes.review import for_review
from schemas.errors import InputError
from schemas.vote import Vote, votes_table

ALL = ("violence", "sexual", "spam")
POLICY = Policy("test", "1", ALL)
START = datetime(2026, 1, 1, tzinfo=UTC)


def vote(key: str, who: str, label: str, *categories: str, minute: int = 0, **changes: object) -> Vote:
    values: dict[str, object] = {
        "key": key,
        "scope": "image",
        "annotator": who,
        "annotator_type": "model",
        "label": label,
        "categories": categories,
        "covers": ALL,
        "policy": "test",
        "policy_version": "1",
        "reason": "test",
        "time": START + timedelta(minutes=minute),
    }
    return Vote(**{**values, **changes})  # type: ignore[arg-type]


def human(key: str, who: str, label: str, *categories: str, minute: int = 0, **changes: object) -> Vote:
    return vote(key, who, label, *categories, minute=minute, annotator_type="human", **changes)


def labels(votes: list[Vote], method: str = "majority") -> dict[str, dict[str, object]]:
    return {row["key"]: row for row in labels_of(votes_table(votes), method, POLICY).to_pylist()}


def test_the_majority_is_the_label_with_its_category() -> None:
    row = labels(
        [vote("k", "a", "unsafe", "spam"), vote("k", "b", "unsafe", "spam", "sexual"), vote("k", "c", "safe")]
    )["k"]
    assert (row["label"], row["category"], row["categories"], row["decided_by"]) == (
        "unsafe",
        "spam",
        ["spam"],
        "machine",
    )
    assert row["p_unsafe"] == pytest.approx(2 / 3) and row["agreement"] == pytest.approx(2 / 3)
    assert row["entropy"] == pytest.approx(0.918, abs=1e-3) and row["method"] == "majority/shares"


def test_a_tie_is_na_and_na_is_a_label_of_its_own() -> None:
    found = labels(
        [vote("tie", "a", "unsafe", "spam"), vote("tie", "b", "safe"), vote("na", "a", "na"), vote("na", "b", "na")]
    )
    assert found["tie"]["label"] == "na" and found["na"]["label"] == "na" and found["na"]["p_na"] == 1.0


@pytest.mark.parametrize("method", METHODS)
def test_skips_and_escalations_are_counted_and_decide_nothing(method: str) -> None:
    found = labels(
        [vote("k", "a", "safe"), vote("k", "b", "skip"), vote("k", "c", "escalate"), vote("none", "b", "skip")], method
    )
    assert found["k"]["label"] == "safe" and (found["k"]["skipped"], found["k"]["escalated"]) == (1, 1)
    assert (found["none"]["label"], found["none"]["decided_by"], found["none"]["p_safe"]) == ("na", "nobody", 0.0)


@pytest.mark.parametrize("method", METHODS)
def test_a_judge_is_not_heard_on_what_it_does_not_cover(method: str) -> None:
    nudity = {"covers": ("sexual",)}
    found = labels(
        [
            vote("violent", "full", "unsafe", "violence"),
            *(vote("violent", f"nudity{i}", "safe", **nudity) for i in range(5)),
            *(vote("naked", f"nudity{i}", "unsafe", "sexual", **nudity) for i in range(3)),
            vote("clothed", "nudity0", "safe", **nudity),
        ],
        method,
    )
    assert (found["violent"]["label"], found["violent"]["category"]) == ("unsafe", "violence")
    assert (found["naked"]["label"], found["naked"]["category"]) == ("unsafe", "sexual")
    assert found["clothed"]["label"] == "na", "safe of nudity is not safe"


def test_three_partial_judges_that_cover_all_between_them_may_say_safe() -> None:
    votes = [vote("k", name, "safe", covers=(name,)) for name in ALL]
    assert labels(votes)["k"]["label"] == "safe" and labels(votes[:2])["k"]["label"] == "na"


@pytest.mark.parametrize("method", METHODS)
def test_people_dominate_models_and_gold_dominates_people(method: str) -> None:
    models = [vote(key, f"m{i}", "safe") for i in range(9) for key in ("k", "g", "other")]
    found = labels(
        [
            *models,
            human("k", "p", "unsafe", "spam"),
            human("g", "p", "safe"),
            vote("g", "t", "unsafe", "spam", gold=True),
        ],
        method,
    )
    assert (found["k"]["label"], found["k"]["decided_by"], found["k"]["human_votes"]) == ("unsafe", "human", 1)
    assert (found["g"]["label"], found["g"]["decided_by"]) == ("unsafe", "gold")
    assert (found["other"]["label"], found["other"]["decided_by"]) == ("safe", "machine")


def test_a_judges_last_vote_counts_and_other_policies_do_not() -> None:
    first, last = human("k", "p", "safe"), human("k", "p", "unsafe", "spam", minute=5)
    assert labels([last, first])["k"]["label"] == "unsafe"
    assert labels([first, replace(last, policy="another")])["k"]["label"] == "safe"


def test_scopes_are_judged_apart() -> None:
    rows = labels_of(
        votes_table([vote("k", "a", "unsafe", "spam"), replace(vote("k", "a", "safe"), scope="prompt")]),
        "majority",
        POLICY,
    )
    assert {(row["scope"], row["label"]) for row in rows.to_pylist()} == {("image", "unsafe"), ("prompt", "safe")}


def test_an_unknown_method_is_refused_and_no_votes_give_no_labels() -> None:
    with pytest.raises(InputError, match="majority, dawid_skene"):
        labels([], "guess")
    assert labels([], "majority") == {} == labels([], "dawid_skene")


def test_dawid_skene_hears_good_judges_more() -> None:
    table, truth = crowd(items=4000, votes=3, people=30, spammers=6)
    got = {}
    for method in METHODS:
        rows = labels_of(table, method, Policy("simulated", "1", ("any",)))
        got[method] = float((np.array(rows["label"].to_pylist()) == np.where(truth, "unsafe", "safe")).mean())
    assert got["dawid_skene"] > got["majority"] + 0.01


def test_without_three_judges_it_says_that_they_were_taken_for_equal() -> None:
    votes = [vote(f"{i}", who, "safe") for i in range(9) for who in "ab"]
    assert labels(votes, "dawid_skene")["0"]["method"] == "dawid_skene/prior"
    votes += [vote(f"{i}", "c", "safe") for i in range(9)]
    assert labels(votes, "dawid_skene")["0"]["method"] == "dawid_skene/em"
    assert labels([*votes, vote("0", "t", "safe", gold=True)], "dawid_skene")["1"]["method"] == "dawid_skene/gold"


def test_a_few_gold_items_show_which_of_two_judges_is_right() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(600) < 0.4
    wild = rng.random(600) < 0.4
    votes = [vote(f"{i:04d}", "good", *(("unsafe", "spam") if truth[i] else ("safe",))) for i in range(600)]
    votes += [vote(f"{i:04d}", "wild", *(("unsafe", "spam") if wild[i] else ("safe",))) for i in range(600)]
    gold = [
        vote(f"{i:04d}", "truth", *(("unsafe", "spam") if truth[i] else ("safe",)), gold=True)
        for i in range(0, 600, 20)
    ]
    found = labels([*votes, *gold], "dawid_skene")
    assert np.mean([(found[f"{i:04d}"]["label"] == "unsafe") == truth[i] for i in range(600)]) > 0.98


@pytest.mark.slow
def test_three_hundred_thousand_items_take_less_than_thirty_seconds() -> None:
    table, truth = crowd(items=300_000, votes=3, people=60, spammers=4)
    accuracy = {}
    for method in METHODS:
        start = time.process_time()
        rows = labels_of(table, method, Policy("simulated", "1", ("any",)))
        assert time.process_time() - start < 30
        accuracy[method] = float((np.array(rows["label"].to_pylist()) == np.where(truth, "unsafe", "safe")).mean())
    assert accuracy["dawid_skene"] >= accuracy["majority"] + 0.01


def test_ballots_keep_the_order_of_items_and_the_votes_of_each() -> None:
    ballots = ballots_of(
        votes_table([vote("b", "x", "safe"), vote("a", "x", "na"), vote("b", "y", "unsafe", "other")]), ALL
    )
    assert ballots.keys.to_pylist() == ["b", "a"] and ballots.item.tolist() == [0, 0, 1]
    assert ballots.answer.tolist() == [0, 2, 1], "a category that the policy does not have is unsafe without one"


# Agreement


def pairs_of(count: int, agree: float, seed: int = 0) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """[count, 3] counts of two raters' labels, each label as often."""
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 3, count)
    second = np.where(rng.random(count) < agree, first, rng.integers(0, 3, count))
    return np.stack([(first == label).astype(np.int64) + (second == label) for label in range(3)], axis=1)


def test_kappa_is_that_of_statsmodels_on_balanced_data() -> None:
    inter_rater = pytest.importorskip("statsmodels.stats.inter_rater")
    for agree in (0.0, 0.5, 1.0):
        counts = pairs_of(500, agree)
        assert measures(counts)["kappa"] == pytest.approx(inter_rater.fleiss_kappa(counts), abs=1e-12)


def test_alpha_is_that_of_krippendorffs_example() -> None:
    """Krippendorff 2011, "Computing Krippendorff's alpha-reliability", section C: nominal data, four coders, gaps: 0.743."""
    coders = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
    ]
    table = np.array(coders)
    counts = np.stack([(table == value).sum(axis=0) for value in range(1, 6)], axis=1)
    assert krippendorff_alpha(counts, np.ones((1, len(counts))))[0] == pytest.approx(0.743, abs=5e-4)


def test_the_bootstrap_interval_holds_the_value_and_narrows_with_items() -> None:
    few, many = measures(pairs_of(60, 0.5)), measures(pairs_of(6000, 0.5))
    for found in (few, many):
        assert found["kappa_low"] < found["kappa"] < found["kappa_high"]
    assert many["kappa_high"] - many["kappa_low"] < (few["kappa_high"] - few["kappa_low"]) / 5


def test_all_agreeing_is_one_and_weights_repeat_items() -> None:
    same = np.array([[2, 0], [2, 0]])
    assert measures(same)["kappa"] == 1.0 == measures(same)["alpha"]
    counts = pairs_of(50, 0.3)
    twice = fleiss_kappa(counts, np.full((1, 50), 2.0))
    assert twice == pytest.approx(fleiss_kappa(counts, np.ones((1, 50))))


def blind_votes() -> list[Vote]:
    votes = []
    for item in range(40):
        first, second = ("unsafe", "safe") if item % 4 == 0 else ("safe", "safe")
        votes += [human(f"{item}", "p1", first, minute=1), human(f"{item}", "p2", second, minute=2)]
    return votes


def agreement(votes: list[Vote]) -> list[dict[str, object]]:
    sources = pa.table(
        {"key": [f"{i}" for i in range(40)], "source": ["left" if i < 20 else "right" for i in range(40)]}
    )
    rows: list[dict[str, object]] = agreement_table(votes_table(votes), sources, ALL).to_pylist()
    return rows


def test_padded_third_votes_do_not_change_the_agreement() -> None:
    third = [human(f"{i}", "p3", "unsafe", minute=3, blind=False) for i in range(0, 40, 4)]
    padded = [human(f"{i}", "p3", "safe", minute=4) for i in range(1, 40, 4)]
    assert agreement(blind_votes()) == agreement([*blind_votes(), *third, *padded])


def test_agreement_is_of_people_only_by_source_and_category_and_with_na_apart() -> None:
    cast = [*blind_votes(), *(vote(f"{i}", "model", "safe") for i in range(40))]
    cast[0] = human("0", "p1", "unsafe", "spam", minute=1)
    cast[1] = human("0", "p2", "na", minute=2)
    rows = agreement(cast)
    assert {(row["by"], row["value"]) for row in rows} == {
        ("all", ""),
        ("source", "left"),
        ("source", "right"),
        ("category", "spam"),
    }
    whole = {row["na"]: row["items"] for row in rows if row["by"] == "all"}
    assert whole == {"class": 40, "removed": 39}


# What people should see first


def test_review_puts_disagreement_first_and_mixes_gold_in() -> None:
    votes = [vote(f"sure{i}", who, "safe") for i in range(60) for who in "abc"]
    votes += [
        vote(f"split{i}", who, *answer)
        for i in range(5)
        for who, answer in zip("abc", [("safe",), ("safe",), ("unsafe", "spam")], strict=True)
    ]
    votes += [vote(f"gold{i}", "t", "safe", gold=True) for i in range(9)]
    votes += [vote("escalated", "a", "safe"), vote("escalated", "b", "escalate")]
    votes += [human("done", "p1", "safe"), human("done", "p2", "safe")]
    queue = for_review(labels_of(votes_table(votes), "majority", POLICY), 40).to_pylist()
    assert {row["key"] for row in queue[:5]} == {f"split{i}" for i in range(5)}
    assert all(row["why"] == "judges disagree" for row in queue[:5])
    assert sum(row["gold"] for row in queue) == 2, "one in twenty"
    assert not {"escalated", "done"} & {row["key"] for row in queue}
