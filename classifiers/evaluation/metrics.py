"""Every figure as a question to the result rows: the SQL lies beside this file, intervals are drawn over what it counts by root."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from classifiers.evaluation.intervals import Estimate, difference, mcnemar, ratio
from classifiers.evaluation.overview import overview
from classifiers.evaluation.ranking_intervals import calibration_bounds, ranking_bounds
from classifiers.evaluation.results import FOLDER, RESULT_SCHEMA
from pipeline.catalogue.duck import Connection, parquet, quoted, reach, scratch_database
from pipeline.storage.store import Store
from schemas.attack import OLD_KNOWLEDGE
from schemas.budgets import EPSILON, TOKENS
from schemas.errors import InputError

QUESTIONS = Path(__file__).parent / "sql"
INGREDIENTS = ("discordant", "overview")  # what figures are computed of, below
BY_ROOT = {"root", "num", "den"}
"""Columns of a question of which a figure is a share with an interval; the others are answered as they are."""


def question(name: str) -> str:
    """The SQL of one question."""
    return (QUESTIONS / f"{name}.sql").read_text()


@contextmanager
def opened(store: Store, dataset: str, scorers: Sequence[str]) -> Iterator[Connection]:
    """DuckDB with the view `results`: the rows of these scorers on one dataset. Raises InputError where there are none."""
    names = [
        name for scorer in scorers for name in store.names(f"{FOLDER}/{dataset}/{scorer}") if name.endswith(".parquet")
    ]
    if not names:
        raise InputError(f"{store.url} has no results of {', '.join(scorers)} on {dataset}; run jobs/evaluate.py")
    with scratch_database() as con:
        reach(con, store)
        rows = parquet(store, names, RESULT_SCHEMA)
        renamed = ", ".join(
            f"CASE {column} WHEN {quoted(old)} THEN {quoted(new)} ELSE {column} END AS {column}"
            for column in ("setting", "knowledge")
            for old, new in OLD_KNOWLEDGE.items()
        )
        con.execute(f"CREATE TABLE results AS SELECT * EXCLUDE (file) REPLACE ({renamed}) FROM {rows}")
        con.execute(f"SET VARIABLE epsilon = {EPSILON}; SET VARIABLE edits = {TOKENS}")
        yield con


def measures(con: Connection) -> dict[str, list[dict[str, Any]]]:
    """A list of rows for each question; those by root as value, low, high, roots."""
    tables = {}
    for name in sorted(path.stem for path in QUESTIONS.glob("*.sql") if path.stem not in INGREDIENTS):
        by_root = set(con.sql(question(name)).columns) >= BY_ROOT
        tables[name] = estimates(con, name) if by_root else _rows(con, question(name))
    for name, bounds in (("ranking", ranking_bounds), ("calibration", calibration_bounds)):
        tables[name] = [{**row, **bounds(*_judged(con, row))} for row in tables[name]]
    pairs = _rows(con, question("discordant"))
    tables["mcnemar"] = [{**row, "p": mcnemar(int(row["only_first"]), int(row["only_second"]))} for row in pairs]
    tables["overview"] = overview(_rows(con, question("overview")), tables["worst"])
    return tables


def estimates(con: Connection, name: str) -> list[dict[str, Any]]:
    """One row a measure and slice of a question by root."""
    table = con.sql(f"SELECT * FROM ({question(name)}) ORDER BY ALL").to_arrow_table()
    keys = [column for column in table.column_names if column not in ("root", "num", "den")]
    groups: dict[tuple[Any, ...], list[tuple[float, float]]] = {}
    columns = [table[key].to_pylist() for key in keys]
    numbers = zip(table["num"].to_pylist(), table["den"].to_pylist(), strict=True)
    for row, pair in zip(zip(*columns, strict=True), numbers, strict=True):
        groups.setdefault(row, []).append(pair)
    return [{**dict(zip(keys, row, strict=True)), **shown(_estimate(pairs))} for row, pairs in groups.items()]


def _judged(con: Connection, row: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Scores, truths and numbers of roots of the rows behind a line of `ranking` or `calibration`."""
    at = [row[name] for name in ("dataset", "scorer", "attack", "slice")]
    columns = con.execute(
        """
        SELECT score, label = 'unsafe' AS bad, dense_rank() OVER (ORDER BY root) - 1 AS root FROM results
        WHERE setting IN ('clean', 'control') AND label IN ('safe', 'unsafe')
            AND dataset = ? AND scorer = ? AND attack = ? AND test_set IS NOT DISTINCT FROM ?
        ORDER BY root, key, score
        """,
        at,
    ).fetchnumpy()
    return columns["score"], columns["bad"], columns["root"]


def gap(con: Connection, measure: str, first: dict[str, str], second: dict[str, str]) -> Estimate:
    """`measure` of one choice of detection rows less that of another, paired by root; a choice names columns and values."""
    sides = [" AND ".join(f"{column} = {quoted(value)}" for column, value in side.items()) for side in (first, second)]
    rows = con.execute(f"""
        WITH counted AS ({question("detection")})
        SELECT a.num, a.den, b.num, b.den
        FROM (SELECT * FROM counted WHERE measure = {quoted(measure)} AND {sides[0]}) a
        JOIN (SELECT * FROM counted WHERE measure = {quoted(measure)} AND {sides[1]}) b USING (root) ORDER BY root
    """).fetchall()
    if not rows:
        raise InputError(f"no rows of {first} and {second} to compare; evaluate both on the same data first")
    a, b, c, d = np.asarray(rows, dtype=np.float64).T
    return difference((a, b), (c, d))


def shown(estimate: Estimate) -> dict[str, float | int | None]:
    """As columns; what has no denominator is None, as JSON has no NaN."""
    if estimate.roots == 0:
        return {"value": None, "low": None, "high": None, "roots": 0}
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high, "roots": estimate.roots}


def _estimate(pairs: Sequence[tuple[float, float]]) -> Estimate:
    num, den = np.asarray(pairs, dtype=np.float64).T
    return ratio(num, den)


def _rows(con: Connection, sql: str) -> list[dict[str, Any]]:
    answer = con.execute(sql)
    names = [column[0] for column in answer.description]
    return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]
