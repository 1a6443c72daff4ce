"""A view of the gallery: facets, words, order and place. It is its address, so that a view is saved by keeping the address."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, urlencode

from classifiers.serving.limits import bad

FACETS = ("label", "category", "source", "split", "generator", "attack", "agreement", "decided_by")
SORTS = ("key", "disagreement", "margin")
ERRORS = ("tp", "fp", "fn", "tn")
NONE = "(none)"
"""How a facet's null is written."""
WORDS, LONGEST = 8, 200  # of a search: words, and characters of all of them


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryView:
    """What is asked for. `after` is the last row before the page, as (what it is sorted by, key)."""

    facets: tuple[tuple[str, tuple[str, ...]], ...] = ()
    text: str = ""
    sort: str = "key"
    scorer: str | None = None
    threshold: float | None = None  # None: the classifier's own
    error: str | None = None  # one of ERRORS, for `scorer`
    after: tuple[float, str] | None = None

    @property
    def chosen(self) -> dict[str, tuple[str, ...]]:
        """Values by facet."""
        return dict(self.facets)

    def address(self, **changes: object) -> str:
        """The query string of this view with changes; without `after` unless it is one of them."""
        view = replace(self, **{"after": None, **changes})  # type: ignore[arg-type]
        pairs = [(facet, value) for facet, values in view.facets for value in values]
        more = {"q": view.text, "scorer": view.scorer, "error": view.error}
        pairs += [(name, value) for name, value in more.items() if value]
        pairs += [("sort", view.sort)] if view.sort != "key" else []
        pairs += [("threshold", repr(view.threshold))] if view.threshold is not None else []
        pairs += [("after", f"{view.after[0]!r}~{view.after[1]}")] if view.after is not None else []
        return urlencode(pairs)

    @property
    def fields(self) -> list[tuple[str, str]]:
        """Names and values of all but the words and the order, for a form that asks for these."""
        return parse_qsl(self.address(text="", sort="key"))

    def toggled(self, facet: str, value: str) -> str:
        """The address with a value of a facet chosen, or no longer."""
        chosen = self.chosen
        now = chosen.get(facet, ())
        chosen[facet] = tuple(v for v in now if v != value) if value in now else (*now, value)
        return self.address(facets=tuple((name, values) for name, values in chosen.items() if values))


def view_of(parameters: Sequence[tuple[str, str]], scorers: Sequence[str]) -> GalleryView:
    """The view of an address. Raises RequestError (400) that names what nobody knows."""
    facets: dict[str, tuple[str, ...]] = {}
    single: dict[str, str] = {}
    for name, value in parameters:
        if name in FACETS:
            facets[name] = (*facets.get(name, ()), value)
        elif name in ("q", "sort", "scorer", "threshold", "error", "after"):
            single[name] = value
        else:
            raise bad(
                f"the address has {name[:40]!r}; a view knows {', '.join(FACETS)}, q, sort, scorer, threshold, error"
            )
    text = " ".join(single.get("q", "").split())
    if len(text) > LONGEST or len(text.split()) > WORDS:
        raise bad(f"a search has at most {WORDS} words and {LONGEST} characters")
    view = GalleryView(
        facets=tuple(sorted(facets.items())),
        text=text,
        sort=_one_of(single, "sort", SORTS) or "key",
        scorer=_one_of(single, "scorer", scorers),
        threshold=_number(single["threshold"], "threshold") if single.get("threshold") else None,
        error=_one_of(single, "error", ERRORS),
        after=_place(single["after"]) if single.get("after") else None,
    )
    if view.scorer is None and (view.error or view.threshold is not None or view.sort == "margin"):
        if not scorers:
            raise bad("no classifier was evaluated on this run, so there are no margins and no errors yet")
        return replace(view, scorer=scorers[0])
    return view


def _one_of(single: Mapping[str, str], name: str, known: Sequence[str]) -> str | None:
    value = single.get(name)
    if not value:
        return None
    if value not in known:
        raise bad(f"{name} is {value[:40]!r}; expected one of {', '.join(known) or 'none: nothing was evaluated yet'}")
    return value


def _number(text: str, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise bad(f"{what} is {text[:40]!r}; expected a number")
    return value


def _place(text: str) -> tuple[float, str]:
    value, _, key = text.partition("~")
    return _number(value, "after"), key[:200]
