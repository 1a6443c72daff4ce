"""The gallery's table: one row a sample with what is filtered, sorted and shown, made when the app starts.

It stands in a scratch database of the app, readable to its owner only; the run is not touched. The catalogue has the same facts
over several files, whose joins take seconds at a million rows; this table answers in milliseconds.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

from classifiers.review_app.gallery_view import FACETS
from pipeline.catalogue.duck import Connection, quoted
from pipeline.catalogue.question import confined
from pipeline.storage.store import Store

LAST = 1e9
"""Margin of a sample that a classifier did not judge: after all others."""


@dataclass(frozen=True, slots=True)
class TableScorer:
    """A classifier that was evaluated, and its columns `score_N` and `unsafe_N` (the truth that it was judged by)."""

    name: str
    number: int
    threshold: float


@dataclass(frozen=True)
class GalleryTable:
    """The database; `samples` counts its rows."""

    con: Connection
    run: str
    scorers: tuple[TableScorer, ...]
    samples: int
    lock: Lock

    @contextmanager
    def cursor(self) -> Iterator[Connection]:
        """A connection of one request's own: DuckDB's are for one thread at a time."""
        with self.lock:
            cursor = self.con.cursor()
        try:
            cursor.execute(f"SET VARIABLE run = {quoted(self.run)}")
            yield cursor
        finally:
            cursor.close()

    def scorer(self, name: str) -> TableScorer:
        """By its name; `gallery_view.view_of` lets only known ones pass."""
        return next(scorer for scorer in self.scorers if scorer.name == name)


@contextmanager
def gallery_table(store: Store) -> Iterator[GalleryTable]:
    """The table of a run whose catalogue is up to date (`pipeline.catalogue.views.refresh`)."""
    with confined(store) as con:
        scorers = _scorers(con)
        con.execute(f"CREATE TABLE unsorted AS {_rows(con, scorers)}")
        for facet in FACETS:  # an ENUM is counted by its number
            con.execute(
                f"CREATE TYPE {facet}_values AS ENUM (SELECT DISTINCT {facet} FROM unsorted WHERE {facet} NOT NULL)"
            )
        typed = ", ".join(f"{facet}::{facet}_values AS {facet}" for facet in FACETS)
        con.execute(f"CREATE TABLE gallery AS SELECT * REPLACE ({typed}) FROM unsorted ORDER BY key")
        con.execute("DROP TABLE unsorted")
        [(samples,)] = con.execute("SELECT count(*) FROM gallery").fetchall()
        yield GalleryTable(con, store.url, scorers, samples, Lock())


def _scorers(con: Connection) -> tuple[TableScorer, ...]:
    """Those with clean rows in `results`. A run that nobody evaluated has the view without most columns."""
    if "threshold" not in _columns(con, "results"):
        return ()
    found = con.execute(
        "SELECT scorer, any_value(threshold) FROM results WHERE attack = 'none' GROUP BY scorer ORDER BY scorer"
    ).fetchall()
    return tuple(TableScorer(name, number, float(threshold)) for number, (name, threshold) in enumerate(found))


def _columns(con: Connection, view: str) -> list[str]:
    return [str(row[0]) for row in con.execute(f"DESCRIBE {view}").fetchall()]


def _rows(con: Connection, scorers: Sequence[TableScorer]) -> str:
    columns, joins = [""], []
    for scorer in scorers:
        joins.append(f"""
            LEFT JOIN (SELECT key, any_value(score) AS score, any_value(label) AS truth FROM results
                WHERE attack = 'none' AND scorer = {quoted(scorer.name)} GROUP BY key) judged_{scorer.number} USING (key)""")
        columns.append(
            f"judged_{scorer.number}.score::DOUBLE AS score_{scorer.number}, CASE judged_{scorer.number}.truth "
            f"WHEN 'unsafe' THEN true WHEN 'safe' THEN false END AS unsafe_{scorer.number}"
        )
    labels = """SELECT NULL::VARCHAR AS key, NULL::DOUBLE AS agreed, NULL::DOUBLE AS doubt, NULL::VARCHAR AS decided_by
        WHERE false"""
    if {"agreement", "entropy", "decided_by"} <= set(_columns(con, "labels")):
        labels = """
            SELECT key, min(agreement) FILTER (decided_by <> 'nobody') AS agreed,
                max(CASE decided_by WHEN 'nobody' THEN 3 ELSE entropy + 1 - agreement END) AS doubt,
                arg_min(decided_by, list_position(['pair', 'image', 'prompt'], scope)) AS decided_by
            FROM labels GROUP BY key"""
    return f"""
        SELECT key, prompt, lower(prompt) AS words, parent, root,
            coalesce(pair_label, image_label, prompt_label) AS label, samples.category, samples.source, split, generator,
            attack.name AS attack,
            CASE WHEN agreed IS NULL THEN NULL WHEN agreed >= 1 THEN 'unanimous' WHEN agreed > 0.5 THEN 'majority'
                ELSE 'split' END AS agreement,
            voted.decided_by, coalesce(doubt, -1)::DOUBLE AS disagreement,
            tar, tar_offset, tar_size, format, width, height{", ".join(columns)}
        FROM samples LEFT JOIN ({labels}) voted USING (key) {" ".join(joins)}"""
