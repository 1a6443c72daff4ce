"""The gallery's pages: look, filter, sort, reveal, compare, take keys out."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import JSONResponse, Response, StreamingResponse

from classifiers.review_app import gallery_questions as questions
from classifiers.review_app.gallery_table import GalleryTable
from classifiers.review_app.gallery_view import FACETS, SORTS, GalleryView, view_of
from classifiers.review_app.guard import AppCall
from classifiers.review_app.masking import BY, THUMBNAIL, WHOLE, Reveals, difference_of, picture_of, word_changes
from classifiers.review_app.neighbours import Neighbours
from classifiers.review_app.pages import Pages
from classifiers.serving.limits import RequestError
from pipeline.catalogue.lineage import ancestry
from pipeline.rounds.audit_log import append, entries
from pipeline.storage.store import Store

STRIP = 60  # variants on one page
KEPT = 256  # views whose counts are kept
ViewCounts = tuple[int, dict[str, list[tuple[str, int]]]]
LAST_ENTRIES = 500  # of the audit log that are shown
HIDDEN = ("prompt", "generation_prompt", "negative_prompt", "scene", "concepts")
"""Of a sample's row: words of its prompt or its picture."""


@dataclass
class GalleryRoutes:
    """`may_see_masked` says whether somebody without a gallery may be shown a sample's picture: that of the item they review."""

    store: Store
    table: GalleryTable
    reveals: Reveals
    neighbours: Neighbours
    pages: Pages
    may_see_masked: Callable[[AppCall, str], bool]
    counts: dict[str, ViewCounts] = field(default_factory=dict)

    def view(self, call: AppCall) -> GalleryView:
        """Of the address."""
        names = [scorer.name for scorer in self.table.scorers]
        return view_of(call.request.query_params.multi_items(), names)

    def index(self, call: AppCall) -> Response:
        """A page of the view and what else there is."""
        view = self.view(call)
        page = questions.page(self.table, view)
        total, counts = self.counted(view)
        return self.pages.show(
            "gallery",
            call,
            view=view,
            page=page,
            total=total,
            facets=counts,
            samples=self.table.samples,
            sorts=SORTS,
            **self._common(call),
        )

    def counted(self, view: GalleryView) -> ViewCounts:
        """Samples of a view, in all and by facet: the same on each of its pages and in every order, so they are kept."""
        name = view.address(sort="key")
        known = self.counts.pop(name, None) or (
            questions.total(self.table, view),
            questions.facet_counts(self.table, view),
        )
        self.counts[name] = known  # the last ones asked for come last
        for old in list(self.counts)[: max(0, len(self.counts) - KEPT)]:
            self.counts.pop(old, None)
        return known

    def _common(self, call: AppCall) -> dict[str, Any]:
        return {"scorers": self.table.scorers, "may_see": lambda key: self.reveals.may_see(call.person, key)}

    def sample(self, call: AppCall) -> Response:
        """One sample: its facts, its lineage, and its variants beside it."""
        key = call.path("key")
        row = self._row(call, key)
        with self.table.cursor() as con:
            found = ancestry(con, self.store, key)
            sql = "SELECT key FROM gallery WHERE root = ? AND key <> ? ORDER BY parent IS NOT NULL, key LIMIT ?"
            family = [str(one[0]) for one in con.execute(sql, [found["sample"]["root"], key, STRIP]).fetchall()]
        facts = {name: value for name, value in found["sample"].items() if value is not None and name not in HIDDEN}
        if not self.reveals.may_see(call.person, key):
            facts.pop("attack", None)  # its record may quote words
        return self.pages.show(
            "sample",
            call,
            row=row,
            facts=facts,
            votes=found["votes"],
            labels=found["labels"],
            family=questions.rows_of(self.table, family),
            changes=self._changes(call, row),
            **self._common(call),
        )

    def _changes(self, call: AppCall, row: dict[str, Any]) -> list[tuple[str, str]] | None:
        """The words that the sample changed of its parent's, once both may be seen."""
        parents = questions.rows_of(self.table, [row["parent"]]) if row["parent"] else []
        seen = all(self.reveals.may_see(call.person, key) for key in (row["key"], row["parent"]))
        return word_changes(parents[0]["prompt"], row["prompt"]) if parents and seen else None

    def _row(self, call: AppCall, key: str) -> dict[str, Any]:
        rows = questions.rows_of(self.table, [key])
        if not rows:
            raise RequestError(404, "no_sample", "the run has no such sample, or it was made since the app started")
        return rows[0]

    def picture(self, call: AppCall) -> Response:
        """Blurred; with `?clear` as it is, for whoever has asked to see it."""
        key, clear = call.path("key"), "clear" in call.request.query_params
        self._check(call, key, clear=clear)
        whole = "whole" in call.request.query_params
        data = picture_of(self.store, self._row(call, key), clear=clear, side=WHOLE if whole else THUMBNAIL)
        return Response(data, media_type="image/png")

    def _check(self, call: AppCall, key: str, *, clear: bool) -> None:
        if clear and not self.reveals.may_see(call.person, key):
            raise RequestError(403, "masked", "ask to see it first: each reveal stands in the audit log")
        if not call.person.may("gallery") and not self.may_see_masked(call, key):
            raise RequestError(403, "not_yours", "you see the samples that you judge, one after the other")

    def difference(self, call: AppCall) -> Response:
        """What a sample changed of its parent's picture, magnified; both have to be revealed, for it shows both."""
        row = self._row(call, call.path("key"))
        if row["parent"] is None:
            raise RequestError(404, "no_parent", "this sample has no parent")
        for key in (row["key"], row["parent"]):
            self._check(call, key, clear=True)
        return Response(difference_of(self.store, row, self._row(call, row["parent"])), media_type="image/png")

    def reveal(self, call: AppCall) -> Response:
        """Enter it in the log, then hand out texts and allow pictures."""
        keys = call.texts("keys")
        rows = questions.rows_of(self.table, keys)
        if not rows:
            raise RequestError(404, "no_sample", "none of these is a sample of the run")
        self.reveals.reveal(call.person, [row["key"] for row in rows], call.text("why", 500) or "the gallery")
        return JSONResponse({"texts": {row["key"]: row["prompt"] for row in rows}})

    def hide(self, call: AppCall) -> Response:
        """Mask again."""
        self.reveals.hide(call.person, call.texts("keys"))
        return JSONResponse({"hidden": True})

    def keys(self, call: AppCall) -> Response:
        """The view's keys as a list, which commands take as `--keys FILE`."""
        view = self.view(call)
        append(self.store, "export", {"view": view.address(), "what": "keys"}, by=BY, person=call.person.name)
        lines = (f"{key}\n" for key in questions.keys(self.table, view))
        headers = {"Content-Disposition": 'attachment; filename="keys.txt"'}
        return StreamingResponse(_joined(lines, f"# {view.address() or 'all samples'}\n"), 200, headers, "text/plain")

    def thresholds(self, call: AppCall) -> Response:
        """A slider over a classifier's scores, with what each threshold comes to."""
        view = self.view(call)
        if not self.table.scorers:
            raise RequestError(404, "no_scores", "no classifier was evaluated on this run yet: jobs/evaluate.py does")
        if view.scorer is None:
            view = view_of([*call.request.query_params.multi_items(), ("sort", "margin")], [self.table.scorers[0].name])
        safe, unsafe = questions.histogram(self.table, view)
        scores = {"safe": safe, "unsafe": unsafe, "threshold": questions.threshold_of(self.table, view)}
        return self.pages.show("thresholds", call, view=view, scores=scores, bins=questions.BINS, **self._common(call))

    def similar(self, call: AppCall) -> Response:
        """What looks most like a sample."""
        key = call.path("key")
        near = dict(self.neighbours.get().nearest(key))
        rows = questions.rows_of(self.table, [key, *near])
        return self.pages.show(
            "similar", call, rows=rows, near=near, kind=self.neighbours.get().kind, **self._common(call)
        )

    def map(self, call: AppCall) -> Response:
        """The page of the map."""
        return self.pages.show("map", call, facets=FACETS)

    def map_points(self, call: AppCall) -> Response:
        """Keys, places, and the values of each facet at each."""
        keys, flat = self.neighbours.get().flat()
        rows = {row["key"]: row for row in questions.rows_of(self.table, [str(key) for key in keys])}
        places = [place for place, key in enumerate(keys) if key in rows]
        points = {facet: [rows[str(keys[place])][facet] for place in places] for facet in FACETS}
        where = [[round(float(x), 4), round(float(y), 4)] for x, y in flat[places]]
        return JSONResponse({"keys": [str(keys[place]) for place in places], "places": where, "facets": points})

    def audit(self, call: AppCall) -> Response:
        """The log's end, and whether its chain holds."""
        log = list(entries(self.store))
        return self.pages.show("audit", call, log=log[: -LAST_ENTRIES - 1 : -1], count=len(log))


def _joined(lines: Iterable[str], first: str) -> Iterator[str]:
    yield first
    part: list[str] = []
    for line in lines:
        part.append(line)
        if len(part) == 10_000:
            yield "".join(part)
            part = []
    yield "".join(part)
