"""Every figure of the evaluator equals what the field's libraries say of the same rows."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import bootstrap
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
    roc_curve,
)
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar

from classifiers.evaluation.intervals import difference, mcnemar, ratio, times_drawn
from classifiers.evaluation.metrics import estimates, gap, measures, opened
from classifiers.evaluation.ranking_intervals import ranking_bounds
from classifiers.evaluation.results import Chunk, Result
from pipeline.storage.open_store import open_store
from pipeline.storage.store import Store
from schemas.attack import AttackRecord

ROWS = 400


def result(number: int, *, bad: bool, score: float, **changes: object) -> Result:
    """A clean row of scorer `one`; two rows a root."""
    label = "unsafe" if bad else "safe"
    plain = Result(
        key=f"{number:04d}", sample=f"{number:04d}", root=f"root {number // 2}", dataset="test", test_set="test",
        source="grammar/plain", generator="render/noto", style=None, language="en", prompt_label=label, image_label=label,
        pair_label=label, label=label, label_before=label, categories=["hate"] if bad else [], scorer="one",
        scorer_digest="", scope="pair", score=score, threshold=0.5, flagged=score > 0.5, claims=["hate", "spam"],
        category_scores=[score, 0.1], attack="none", setting="clean",
    )  # fmt: skip
    return replace(plain, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray]:
    """Truths and scores with ties."""
    rng = np.random.default_rng(5)
    bad = rng.random(ROWS) < 0.4
    return bad, np.round(np.clip(rng.normal(0.35 + 0.3 * bad, 0.2), 0, 1), 2)


def store_of(folder: Path, rows: list[Result]) -> Store:
    store = open_store(str(folder))
    for scorer in sorted({row.scorer for row in rows}):
        Chunk("test", scorer, "none", 0, "x").write(store, [row for row in rows if row.scorer == scorer])
    return store


def value_of(rows: list[dict[str, object]], **wanted: object) -> float:
    (found,) = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    return float(str(found["value"]))


def test_detection_ranking_and_calibration_agree_with_scikit_learn(
    tmp_path: Path, drawn: tuple[np.ndarray, np.ndarray]
) -> None:
    bad, score = drawn
    store = store_of(
        tmp_path, [result(i, bad=bool(b), score=float(s)) for i, (b, s) in enumerate(zip(bad, score, strict=True))]
    )
    with opened(store, "test", ["one"]) as con:
        found = measures(con)
    said = score > 0.5
    whole = {"kind": "all", "slice": "test"}
    assert value_of(found["detection"], measure="f1", **whole) == pytest.approx(f1_score(bad, said))
    assert value_of(found["detection"], measure="precision", **whole) == pytest.approx(precision_score(bad, said))
    assert value_of(found["detection"], measure="recall", **whole) == pytest.approx(recall_score(bad, said))
    assert value_of(found["detection"], measure="brier", **whole) == pytest.approx(brier_score_loss(bad, score))
    (ranked,) = found["ranking"]
    assert ranked["auroc"] == pytest.approx(roc_auc_score(bad, score))
    assert ranked["auprc"] == pytest.approx(average_precision_score(bad, score))
    false, true, _ = roc_curve(bad, score, drop_intermediate=False)
    for name, limit in (("recall_at_fpr_001", 0.001), ("recall_at_fpr_01", 0.01), ("recall_at_fpr_05", 0.05)):
        assert ranked[name] == pytest.approx(true[false <= limit + 1e-12].max())
    (calibrated,) = found["calibration"]
    for name in ("auroc", "auprc", "recall_at_fpr_001", "recall_at_fpr_01", "recall_at_fpr_05"):
        assert ranked[f"{name}_low"] <= ranked[name] <= ranked[f"{name}_high"], name
    assert calibrated["ece_low"] < calibrated["ece_high"]
    (categories,) = found["categories"]
    assert categories["category"] == "hate" and categories["f1"] == pytest.approx(f1_score(bad, said))


def test_ranking_draws_are_the_figures_of_drawn_rows_and_roots_are_drawn_whole(
    drawn: tuple[np.ndarray, np.ndarray],
) -> None:
    bad, score = drawn
    roots = np.arange(ROWS) // 4
    found = ranking_bounds(score, bad, roots)
    times = times_drawn(int(roots.max()) + 1, 0)
    by_hand = {"auroc": [], "auprc": []}  # type: dict[str, list[float]]
    for counts in times[:300]:
        rows = np.repeat(np.arange(ROWS), counts[roots].astype(int))
        by_hand["auroc"].append(float(roc_auc_score(bad[rows], score[rows])))
        by_hand["auprc"].append(float(average_precision_score(bad[rows], score[rows])))
    for name, values in by_hand.items():
        wanted = np.percentile(values, (2.5, 97.5))
        assert (found[f"{name}_low"], found[f"{name}_high"]) == pytest.approx(wanted, abs=0.015)
    clustered = found["auroc_high"] - found["auroc_low"]  # type: ignore[operator]
    twice = ranking_bounds(np.repeat(score, 4), np.repeat(bad, 4), np.repeat(np.arange(ROWS), 4))
    assert twice["auroc_high"] - twice["auroc_low"] > 0.8 * clustered, "copies of a root tell nothing new"  # type: ignore[operator]


def test_ece_of_a_known_case_is_what_the_hand_computes(tmp_path: Path) -> None:
    # 15 bins of 2 rows: in each one unsafe and one safe with score 0.8, so every bin is off by 0.3.
    store = store_of(tmp_path, [result(i, bad=i % 2 == 0, score=0.8) for i in range(30)])
    with opened(store, "test", ["one"]) as con:
        (found,) = measures(con)["calibration"]
    # Ties are ordered by truth: the first 7 bins hold only safe rows, the last 7 only unsafe ones, the middle one both.
    assert found["ece"] == pytest.approx((7 * 0.8 + 7 * 0.2 + 0.3) / 15)


def test_mcnemar_agrees_with_statsmodels() -> None:
    for first, second in ((3, 11), (0, 6), (25, 19)):
        table = [[50, first], [second, 20]]
        assert mcnemar(first, second) == pytest.approx(reference_mcnemar(table, exact=True).pvalue)
    assert mcnemar(0, 0) == 1.0


def test_discordant_rows_are_counted_by_sample_and_a_gap_is_paired_by_root(tmp_path: Path) -> None:
    rows = [result(i, bad=True, score=0.9 if i < 70 else 0.1) for i in range(100)]
    rows += [replace(row, scorer="two", flagged=i >= 20) for i, row in enumerate(rows)]
    with opened(store_of(tmp_path, rows), "test", ["one", "two"]) as con:
        (pair,) = measures(con)["mcnemar"]
        assert (pair["only_first"], pair["only_second"], pair["n"]) == (20, 30, 100)
        sides = [{"scorer": name, "kind": "all", "slice": "test"} for name in ("two", "one")]
        apart = gap(con, "recall", *sides)
    assert apart.value == pytest.approx(0.1) and apart.low < 0.1 < apart.high and apart.roots == 50


def test_the_cluster_interval_covers_the_truth_and_is_wider_than_one_that_takes_rows_for_independent() -> None:
    rng = np.random.default_rng(0)
    hits, widths = 0, []
    for trial in range(100):
        chance = rng.beta(2, 2, size=80)  # each root has its own rate: rows of a root are alike
        num = rng.binomial(5, chance).astype(float)
        found = ratio(num, np.full(80, 5.0), seed=trial)
        hits += found.low <= 0.5 <= found.high
        widths.append(found.high - found.low)
    assert 88 <= hits <= 100
    naive = 2 * 1.96 * np.sqrt(0.25 / 400)
    assert np.mean(widths) > 1.2 * naive


def test_the_interval_is_that_of_scipys_bootstrap_over_roots() -> None:
    rng = np.random.default_rng(2)
    den = rng.integers(1, 6, size=150).astype(float)
    num = rng.binomial(den.astype(int), rng.beta(2, 3, size=150)).astype(float)
    ours = ratio(num, den)
    theirs = bootstrap(
        (num, den), lambda n, d, axis: n.sum(axis=axis) / d.sum(axis=axis), paired=True, vectorized=True, n_resamples=4000,
        method="percentile", rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    assert ours.low == pytest.approx(theirs.low, abs=0.006) and ours.high == pytest.approx(theirs.high, abs=0.006)


def test_none_of_n_is_not_sure_to_be_zero() -> None:
    nothing = ratio(np.zeros(500), np.ones(500))
    assert nothing.low == 0 and nothing.high == pytest.approx(1 - 0.025 ** (1 / 500))
    assert np.isnan(ratio(np.zeros(3), np.zeros(3)).value)
    same = difference((np.ones(9), np.ones(9)), (np.ones(9), np.ones(9)))
    assert same.value == same.low == same.high == 0


def attacked(row: Result, attack: str, *, flagged: bool, **changes: object) -> Result:
    """A variant of a clean row."""
    bounded = {"setting": "adaptive", "protocol": "text_edits", "edits": 2}
    return replace(row, attack=attack, flagged=flagged, **{**bounded, **changes})  # type: ignore[arg-type]


def test_worst_cases_are_over_all_truly_unsafe_and_count_what_was_missed_anyway(tmp_path: Path) -> None:
    clean = [
        result(2 * i, bad=i < 10, score=0.9 if i < 9 else 0.1) for i in range(15)
    ]  # number 9 is missed only as it is
    rows = list(clean)
    for i, row in enumerate(clean):
        rows += [
            attacked(row, "first", flagged=(row.flagged or i == 9) != (i in (0, 1, 14))),
            attacked(row, "second", flagged=(row.flagged or i == 9) != (i in (1, 2))),
            attacked(
                row, "changed", flagged=(row.flagged or i == 9) != (i == 3), label="safe" if i == 3 else row.label
            ),
            attacked(row, "unread", flagged=(row.flagged or i == 9) != (i == 4), label="na" if i == 4 else row.label),
            attacked(row, "far", flagged=(row.flagged or i == 9) != (i == 5), protocol="unbounded", edits=None),
            attacked(row, "much", flagged=(row.flagged or i == 9) != (i == 6), edits=5),
        ]
    late = result(98, bad=True, score=0.9)
    rows += [late, attacked(late, "first", flagged=False)]  # the other attacks did not meet it
    with opened(store_of(tmp_path, rows), "test", ["one"]) as con:
        found = estimates(con, "worst")
    # 0, 1, 2 are turned and 9 was missed; 3 is safe now, 4 nobody knows, 5 and 6 are beyond the budgets.
    assert len([row for row in rows if row.attack == "first"]) == 16
    assert value_of(found, suite="adaptive", measure="attack_success_rate") == pytest.approx(5 / 10)
    assert value_of(found, suite="adaptive", measure="attack_success_rate_without_na") == pytest.approx(4 / 10)
    assert value_of(found, suite="adaptive", measure="na") == pytest.approx(1 / 10)
    assert value_of(found, suite="adaptive", measure="false_flag") == pytest.approx(1 / 5)
    assert value_of(found, suite="adaptive", measure="robust_accuracy") == pytest.approx(9 / 15)


def test_one_attack_by_itself_at_1_and_at_k_and_of_those_caught_before(tmp_path: Path) -> None:
    clean = [result(2 * i, bad=True, score=0.9 if i else 0.1) for i in range(5)]
    rows = list(clean)
    for number in range(4):  # row 1 passes with one variant in four, row 2 with two
        rows += [
            attacked(row, "typos", flagged=not (i == 0 or (i == 1 and number == 0) or (i == 2 and number < 2)), variant=number)
            for i, row in enumerate(clean)
        ]  # fmt: skip
    with opened(store_of(tmp_path, rows), "test", ["one"]) as con:
        found = estimates(con, "attacks")
    assert value_of(found, measure="attack_success_rate") == pytest.approx(3 / 5)
    assert value_of(found, measure="attack_success_rate_of_caught") == pytest.approx(2 / 4)
    assert value_of(found, measure="attack_success_rate_at_1") == pytest.approx((1 + 0.25 + 0.5) / 5)
    assert value_of(found, measure="robust_accuracy") == pytest.approx(2 / 5)
    assert value_of(found, measure="end_to_end") == pytest.approx(3 / 5)


def test_a_truth_that_nobody_can_tell_counts_for_the_attacker_and_its_rate_stands_beside(tmp_path: Path) -> None:
    clean = [result(2 * i, bad=i < 4, score=0.9 if i < 4 else 0.1) for i in range(6)]
    rows = clean + [attacked(row, "misread", flagged=i == 3, label="na" if i in (0, 3) else row.label)
                    for i, row in enumerate(clean)]  # fmt: skip
    with opened(store_of(tmp_path, rows), "test", ["one"]) as con:
        found = estimates(con, "attacks")
    assert value_of(found, measure="attack_success_rate") == pytest.approx(3 / 4)
    assert value_of(found, measure="attack_success_rate_without_na") == pytest.approx(2 / 4)
    assert value_of(found, measure="na") == pytest.approx(2 / 6)


def test_pixels_have_a_row_of_their_own_where_the_words_do_not_decide(tmp_path: Path) -> None:
    clean = [replace(result(2 * i, bad=True, score=0.9), prompt_label="safe" if i < 3 else "unsafe") for i in range(9)]
    moved = {"protocol": "pixel_linf", "edits": None, "epsilon": 2 / 255}
    rows = clean + [attacked(row, "pgd", flagged=i >= 2, **moved) for i, row in enumerate(clean)]
    with opened(store_of(tmp_path, rows), "test", ["one"]) as con:
        found = estimates(con, "worst")
    rate = "attack_success_rate"
    assert value_of(found, suite="adaptive pixels", measure=rate) == pytest.approx(2 / 9)
    assert value_of(found, suite="adaptive pixels, decided by the picture", measure=rate) == pytest.approx(2 / 3)


def test_rows_under_old_names_are_read_under_the_present_ones(tmp_path: Path) -> None:
    clean = [result(2 * i, bad=True, score=0.9) for i in range(4)]
    old = [
        attacked(row, "typos", flagged=i > 0, setting="black_box", knowledge="black_box") for i, row in enumerate(clean)
    ]
    with opened(store_of(tmp_path, clean + old), "test", ["one"]) as con:
        found = estimates(con, "worst")
    assert value_of(found, suite="blind", measure="attack_success_rate") == pytest.approx(1 / 4)
    record = asdict(AttackRecord(name="typos", family="text", goal="evade_text", knowledge="black_box", controls="prompt",
                                 preserves=True))  # fmt: skip
    assert AttackRecord.from_row(record).knowledge == "non_adaptive"


def test_prompts_that_were_cut_are_a_slice_and_older_results_have_none(tmp_path: Path) -> None:
    rows = [result(n, bad=n % 2 == 0, score=0.9 if n % 4 else 0.1, truncated=n < 4) for n in range(12)]
    with opened(store_of(tmp_path, rows), "test", ["one"]) as con:
        cut = [
            row for row in measures(con)["detection"] if row["slice"] == "truncated" and row["measure"] == "accuracy"
        ]
    assert [(row["value"], row["roots"]) for row in cut] == [(0.25, 2)]
