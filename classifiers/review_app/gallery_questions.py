"""What the gallery asks its table: a page, counts by facet, keys, and how a classifier does at every threshold."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from classifiers.review_app.gallery_table import LAST, GalleryTable
from classifiers.review_app.gallery_view import ERRORS, FACETS, NONE, GalleryView
from pipeline.catalogue.duck import Connection

PAGE = 48
VALUES = 12  # of a facet that are shown; the rest is counted
BINS = 1000  # steps of the threshold
SHOWN = (
    "key",
    "prompt",
    "parent",
    *FACETS,
    "disagreement",
    "tar",
    "tar_offset",
    "tar_size",
    "format",
    "width",
    "height",
)
_CASES = {"tp": "{s} >= ? AND {u}", "fp": "{s} >= ? AND NOT {u}", "fn": "{s} < ? AND {u}", "tn": "{s} < ? AND NOT {u}"}


@dataclass(frozen=True, slots=True)
class GalleryPage:
    """Rows as dicts of `SHOWN` with `score` and `error` of the view's classifier; the address of what comes after."""

    rows: list[dict[str, Any]]
    following: str | None


def page(table: GalleryTable, view: GalleryView) -> GalleryPage:
    """One page, found by what the last one ended with: the thousandth is as quick as the first."""
    where, values = _where(table, view)
    sorted_by, down = _sort(table, view)
    begin, more = "", []
    if view.after is not None:
        value, key = view.after
        begin = f" AND ({sorted_by} {'<' if down else '>'} ? OR ({sorted_by} = ? AND key > ?))"
        more = [value, value, key]
    if view.sort == "key":
        begin, more = (" AND key > ?", more[2:]) if view.after else ("", [])
    order = "key" if view.sort == "key" else f"{sorted_by} {'DESC' if down else ''}, key"
    score = "NULL, NULL" if view.scorer is None else "score_{0}, unsafe_{0}".format(table.scorer(view.scorer).number)
    sql = f"""SELECT {", ".join(SHOWN)}, {score}, {sorted_by} FROM gallery WHERE {where}{begin} ORDER BY {order} LIMIT {PAGE + 1}"""
    with table.cursor() as con:
        found = con.execute(sql, [*values, *more]).fetchall()
    rows = [_row(table, view, one) for one in found[:PAGE]]
    following = view.address(after=(float(found[PAGE - 1][-1]), rows[-1]["key"])) if len(found) > PAGE else None
    return GalleryPage(rows, following)


def _row(table: GalleryTable, view: GalleryView, found: tuple[Any, ...]) -> dict[str, Any]:
    row = dict(zip(SHOWN, found, strict=False))
    score, unsafe = found[len(SHOWN) : len(SHOWN) + 2]
    row |= {"score": score, "error": None}
    if view.scorer is not None and score is not None and unsafe is not None:
        flagged = score >= threshold_of(table, view)
        row["error"] = ERRORS[(1 if flagged else 3) if not unsafe else (0 if flagged else 2)]
    return row


def threshold_of(table: GalleryTable, view: GalleryView) -> float:
    """The view's, or the classifier's own."""
    assert view.scorer is not None
    return table.scorer(view.scorer).threshold if view.threshold is None else view.threshold


def total(table: GalleryTable, view: GalleryView) -> int:
    """Samples of the view."""
    where, values = _where(table, view)
    if where == "true":
        return table.samples
    with table.cursor() as con:
        [(count,)] = con.execute(f"SELECT count(*) FROM gallery WHERE {where}", values).fetchall()
    return int(count)


def facet_counts(table: GalleryTable, view: GalleryView) -> dict[str, list[tuple[str, int]]]:
    """(value, samples) of each facet among the view's samples, most first; of a chosen one, among the others'."""
    found: dict[str, list[tuple[str, int]]] = {}
    with table.cursor() as con:
        open_ = [facet for facet in FACETS if facet not in view.chosen]
        found |= _counts(con, open_, *_where(table, view))
        for facet in view.chosen:
            found |= _counts(con, [facet], *_where(table, view, without=facet))
    return {facet: found[facet] for facet in FACETS}


def _counts(con: Connection, facets: list[str], where: str, values: list[Any]) -> dict[str, list[tuple[str, int]]]:
    counted: dict[str, list[tuple[str, int]]] = {facet: [] for facet in facets}
    if not facets:
        return counted
    sql = " UNION ALL ".join(
        f"(SELECT '{facet}', {facet}::VARCHAR, count(*) AS samples FROM chosen GROUP BY {facet} ORDER BY samples DESC, {facet} "
        f"LIMIT {VALUES})"
        for facet in facets
    )
    columns = ", ".join(facets)
    rows = con.execute(
        f"WITH chosen AS MATERIALIZED (SELECT {columns} FROM gallery WHERE {where}) {sql}", values
    ).fetchall()
    for facet, value, samples in rows:
        counted[facet].append((NONE if value is None else value, int(samples)))
    return counted


def keys(table: GalleryTable, view: GalleryView, limit: int | None = None) -> Iterator[str]:
    """The keys of the whole view in its order, or of its beginning."""
    where, values = _where(table, view)
    sorted_by, down = _sort(table, view)
    order = f"{sorted_by} {'DESC' if down else ''}, key"
    with table.cursor() as con:
        sql = f"SELECT key FROM gallery WHERE {where} ORDER BY {order}" + ("" if limit is None else f" LIMIT {limit}")
        answer = con.execute(sql, values)
        while rows := answer.fetchmany(10_000):
            yield from (str(row[0]) for row in rows)


def histogram(table: GalleryTable, view: GalleryView) -> tuple[list[int], list[int]]:
    """How many safe and how many unsafe samples of the view have which score, in BINS + 1 steps from 0 to 1, each with those from
    its score up to the next: all that the counts at any threshold are made of.
    """
    assert view.scorer is not None
    number = table.scorer(view.scorer).number
    where, values = _where(table, view, without="error")
    sql = f"""
        SELECT unsafe_{number}, least(greatest(floor(score_{number} * {BINS} + 1e-9), 0), {BINS})::INTEGER AS bin, count(*)
        FROM gallery WHERE {where} AND unsafe_{number} IS NOT NULL AND score_{number} IS NOT NULL GROUP BY ALL"""
    safe, unsafe = [0] * (BINS + 1), [0] * (BINS + 1)
    with table.cursor() as con:
        for is_unsafe, place, samples in con.execute(sql, values).fetchall():
            (unsafe if is_unsafe else safe)[place] = int(samples)
    return safe, unsafe


def rows_of(table: GalleryTable, wanted: list[str]) -> list[dict[str, Any]]:
    """Rows by key, in the order asked for; keys that are none are left out."""
    with table.cursor() as con:
        sql = f"SELECT {', '.join(SHOWN)} FROM gallery WHERE key IN (SELECT unnest(?::VARCHAR[]))"
        found = {row[0]: dict(zip(SHOWN, row, strict=True)) for row in con.execute(sql, [wanted]).fetchall()}
    return [found[key] | {"score": None, "error": None} for key in wanted if key in found]


def _where(table: GalleryTable, view: GalleryView, without: str | None = None) -> tuple[str, list[Any]]:
    """The condition of a view and its values."""
    parts: list[str] = []
    values: list[Any] = []
    for facet, chosen in view.facets:
        if facet == without:
            continue
        some = [value for value in chosen if value != NONE]
        known = f"{facet}::VARCHAR IN (SELECT unnest(?::VARCHAR[]))" if some else "false"
        parts.append(f"({known}{f' OR {facet} IS NULL' if NONE in chosen else ''})")
        values += [some] if some else []
    for word in view.text.lower().split():
        parts.append("contains(words, ?)")
        values.append(word)
    if view.error is not None and without != "error":
        assert view.scorer is not None
        number = table.scorer(view.scorer).number
        parts.append(_CASES[view.error].format(s=f"score_{number}", u=f"unsafe_{number}"))
        values.append(threshold_of(table, view))
    return " AND ".join(parts) or "true", values


def _sort(table: GalleryTable, view: GalleryView) -> tuple[str, bool]:
    """The number that the view is sorted by, and whether the greatest comes first."""
    if view.sort == "disagreement":
        return "disagreement", True
    if view.sort == "margin":
        number = table.scorer(view.scorer or "").number
        return f"coalesce(abs(score_{number} - {threshold_of(table, view)!r}), {LAST!r})", False
    return "0::DOUBLE", False
