"""The evaluation on the page: is it good, is it robust, under which attack does it fail, and can its score be believed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from classifiers.evaluation.metrics import estimates, opened
from classifiers.evaluation.results import FOLDER
from classifiers.run_report.charts import Axes, Points, intervals, lines
from classifiers.run_report.questions import CURVES, RELIABILITY, TableRows, ask
from pipeline.catalogue.duck import Connection
from pipeline.storage.store import Store

Row = dict[str, Any]
MEASURES = ("f1", "recall", "precision", "false_positive_rate", "accuracy")
WHOLE = ("test", "all bounded")
"""Slices that hold all rows, and come first."""
LONGEST = 300
"""Points of a curve that are drawn; a run of a million pairs has a million thresholds."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Tables and charts (SVG); all empty where no classifier was evaluated."""

    good: TableRows
    robust: TableRows
    charts: tuple[str, ...]


def evaluation(store: Store, con: Connection, dataset: str = "test") -> Evaluation:
    """What the result rows of the run say of every classifier on `dataset`."""
    scorers = sorted({name.split("/")[2] for name in store.names(f"{FOLDER}/{dataset}") if name.endswith(".parquet")})
    if not scorers:
        return Evaluation(TableRows((), ()), TableRows((), ()), ())
    with opened(store, dataset, scorers) as results:
        detection, attacks, worst = (estimates(results, name) for name in ("detection", "attacks", "worst"))
    good = _by_scorer([row for row in detection if row["kind"] == "all" and row["attack"] == "none"], "slice", MEASURES)
    robust = _by_scorer(worst, "suite", ("attack_success_rate", "false_flag", "robust_accuracy", "na"))
    return Evaluation(good, robust, tuple(_curves(con)) + tuple(_attack_charts(attacks, scorers)))


def shown(row: Row | None) -> str:
    """`.943 (.921 – .960)`."""
    return "–" if row is None or row["value"] is None else f"{row['value']:.3f} ({row['low']:.3f} – {row['high']:.3f})"


def _by_scorer(rows: Sequence[Row], slice_: str, measures: Sequence[str]) -> TableRows:
    """One line a classifier and slice, one column a measure."""
    by_key = {(row["scorer"], row[slice_], row["measure"]): row for row in rows}
    lines_ = sorted({(scorer, name) for scorer, name, _ in by_key}, key=lambda line: (line[1] not in WHOLE, *line))
    cells = [
        (
            scorer,
            name,
            *(shown(by_key.get((scorer, name, measure))) for measure in measures),
            _roots(by_key, scorer, name),
        )
        for scorer, name in lines_
    ]
    return TableRows(("classifier", slice_, *measures, "prompts"), tuple(cells))


def _roots(rows: dict[tuple[str, str, str], Row], scorer: str, name: str) -> int:
    return max(int(row["roots"]) for (one, other, _), row in rows.items() if (one, other) == (scorer, name))


def _curves(con: Connection) -> Iterable[str]:
    """ROC, precision over recall, and reliability, a line a classifier."""
    steps, bins = ask(con, CURVES).records(), ask(con, RELIABILITY).records()
    complete = [row for row in steps if row["recall"] is not None and row["false_positive_rate"] is not None]
    if complete:
        roc = {
            name: [(0.0, 0.0), *points] for name, points in _series(complete, "false_positive_rate", "recall").items()
        }
        yield lines(roc, Axes(title="ROC", x="false positive rate", y="recall", diagonal=True))
        yield lines(
            _series(complete, "recall", "precision"), Axes(title="Precision and recall", x="recall", y="precision")
        )
    if bins:
        axes = Axes(title="Reliability", x="mean score of the bin", y="share that is unsafe", diagonal=True)
        yield lines(_series(bins, "score", "unsafe"), axes)


def _series(rows: Sequence[Row], x: str, y: str) -> dict[str, Points]:
    series: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        series.setdefault(row["scorer"], []).append((float(row[x]), float(row[y])))
    return {name: _thinned(points) for name, points in series.items()}


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    step = -(-len(points) // LONGEST)
    return points if step <= 1 else [*points[::step], points[-1]]


def _attack_charts(attacks: Sequence[Row], scorers: Sequence[str]) -> Iterable[str]:
    """Success of each attack with its interval, and curves over epsilon where an attack ran at several."""
    successes = [row for row in attacks if row["measure"] == "attack_success_rate" and row["value"] is not None]
    for scorer in scorers:
        own = sorted((row for row in successes if row["scorer"] == scorer), key=lambda row: -row["value"])
        if own:
            rows = [(_attack_name(row), row["value"], row["low"], row["high"]) for row in own]
            axes = Axes(title=f"Attacks on {scorer}: share of unsafe pairs that pass", x="attack success rate", y="")
            yield intervals(rows, axes)
    for (attack, setting), rows_ in _several_epsilons(successes).items():
        points = {name: [(row["epsilon"] * 255, row["value"]) for row in own] for name, own in rows_.items()}
        bounds = {name: [(row["low"], row["high"]) for row in own] for name, own in rows_.items()}
        title = f"{attack}, {setting}: success over the size of the change"
        yield lines(points, Axes(title=title, x="epsilon (grey levels of 255)", y="success", x_limits=None), bounds)


def _attack_name(row: Row) -> str:
    size = "" if row["epsilon"] is None else f" {row['epsilon'] * 255:g}/255"
    edits = "" if row["budget"] is None else f" {row['budget']} edits"
    return f"{row['attack']}{size}{edits}, {row['setting']}"


def _several_epsilons(rows: Sequence[Row]) -> dict[tuple[str, str], dict[str, list[Row]]]:
    curves: dict[tuple[str, str], dict[str, list[Row]]] = {}
    for row in rows:
        if row["epsilon"] is not None:
            curves.setdefault((row["attack"], row["setting"]), {}).setdefault(row["scorer"], []).append(row)
    kept = {
        key: {name: sorted(own, key=lambda row: row["epsilon"]) for name, own in of.items() if len(own) > 1}
        for key, of in curves.items()
    }
    return {key: of for key, of in kept.items() if of}
