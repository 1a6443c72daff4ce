"""How far judges agree beyond chance, on blind votes only, with bootstrap intervals over items.

Fleiss (1971), Krippendorff (2004, nominal), Gwet's AC1 (2008, for skewed prevalence), and plain agreement. A third vote that was
asked for because two disagreed is no blind vote: counting it, or padding one that was not needed, makes agreement look like what it
is not (.498 became .552 and .664 in a trial).
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.vote import COUNTED, Vote, votes_of

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BLIND_VOTES = 2  # the first of each item that count
DRAWS = 2000
SEED = 0

AGREEMENT_SCHEMA = pa.schema(
    [
        ("scope", pa.string()),
        ("by", pa.string()),  # all | source | category
        ("value", pa.string()),  # of that
        (
            "votes",
            pa.string(),
        ),  # first: as cast blind; last: with people's corrections, which is what labels are made of
        ("na", pa.string()),  # class: a label of its own; removed: items with an `na` are left out
        ("items", pa.int64()),
        *(
            (f"{name}{end}", pa.float64())
            for name in ("kappa", "alpha", "ac1", "percent")
            for end in ("", "_low", "_high")
        ),
    ]
)


def fleiss_kappa(counts: Ints, weights: Floats) -> Floats:
    """[B] kappa of items with counts [P, labels] of n votes each, that occur weights [B, P] times. 1 where chance is 1 too."""
    observed, shares = _observed(counts, weights), _shares(counts, weights)
    return _beyond(observed, (shares**2).sum(axis=1))


def krippendorff_alpha(counts: Ints, weights: Floats) -> Floats:
    """[B] nominal alpha; items with fewer than two votes play no part, so votes may be missing."""
    pairable = counts * (counts.sum(axis=1, keepdims=True) >= 2)
    n = pairable.sum(axis=1)
    differing = (n**2 - (pairable**2).sum(axis=1)) / np.maximum(n - 1, 1)
    total = weights @ n
    values = weights @ pairable
    expected = (total**2 - (values**2).sum(axis=1)) / np.maximum(total * (total - 1), 1)
    disagreement = (weights @ differing) / np.maximum(total, 1)
    ratio: Floats = np.divide(disagreement, expected, out=np.zeros_like(expected), where=expected > 0)
    return 1 - ratio


def gwet_ac1(counts: Ints, weights: Floats) -> Floats:
    """[B] AC1: chance is what one could agree on only by guessing."""
    shares = _shares(counts, weights)
    return _beyond(_observed(counts, weights), (shares * (1 - shares)).sum(axis=1) / max(counts.shape[1] - 1, 1))


def percent(counts: Ints, weights: Floats) -> Floats:
    """[B] share of pairs of votes that agree."""
    return _observed(counts, weights)


MEASURES: dict[str, Callable[[Ints, Floats], Floats]] = {
    "kappa": fleiss_kappa,
    "alpha": krippendorff_alpha,
    "ac1": gwet_ac1,
    "percent": percent,
}


def _observed(counts: Ints, weights: Floats) -> Floats:
    n = counts.sum(axis=1)
    agreeing = (counts * (counts - 1)).sum(axis=1) / np.maximum(n * (n - 1), 1)
    return np.asarray((weights @ agreeing) / np.maximum(weights.sum(axis=1), 1))


def _shares(counts: Ints, weights: Floats) -> Floats:
    shares = weights @ counts
    return np.asarray(shares / np.maximum(shares.sum(axis=1, keepdims=True), 1))


def _beyond(observed: Floats, chance: Floats) -> Floats:
    return np.divide(observed - chance, 1 - chance, out=np.ones_like(observed), where=chance < 1)


def measures(counts: Ints) -> dict[str, float]:
    """Each measure of items [N, labels] with its 95 % bootstrap interval (`_low`, `_high`), items drawn with replacement."""
    patterns, often = np.unique(counts, axis=0, return_counts=True)
    rng = np.random.default_rng(SEED)
    draws = rng.multinomial(often.sum(), often / often.sum(), size=DRAWS).astype(np.float64)
    values: dict[str, float] = {}
    for name, measure in MEASURES.items():
        values[name] = float(measure(patterns, often[None].astype(np.float64))[0])
        low, high = np.quantile(measure(patterns, draws), [0.025, 0.975])
        values |= {f"{name}_low": float(low), f"{name}_high": float(high)}
    return values


def agreement_table(votes: pa.Table, sources: pa.Table, categories: Sequence[str]) -> pa.Table:
    """A table of `AGREEMENT_SCHEMA` over the votes of the first two people who judged an item blind; empty where no two did.

    Each figure twice: over their `first` votes, which nobody has talked them out of, and over their `last`, after corrections.
    A vote that was withdrawn is in neither.

    By category: whether both name it, over items that either puts into a category.
    """
    source_of = dict(zip(sources["key"].to_pylist(), sources["source"].to_pylist(), strict=True))
    rows: list[dict[str, object]] = []
    for (scope, which), pairs in _blind_pairs(votes).items():
        labels = np.array([[COUNTED.index(vote.label) for vote in pair] for pair in pairs])
        counts = np.stack([(labels == code).sum(axis=1) for code in range(len(COUNTED))], axis=1)
        decided = counts[:, COUNTED.index("na")] == 0
        source = np.array([source_of.get(pair[0].key) or "" for pair in pairs])
        groups = [("all", "", np.ones(len(pairs), dtype=np.bool_))]
        groups += [("source", str(value), source == value) for value in np.unique(source)]
        slices = [(by, value, "class", counts[mask]) for by, value, mask in groups]
        slices += [(by, value, "removed", counts[mask & decided][:, :2]) for by, value, mask in groups]
        slices += [("category", name, "class", part) for name, part in _named(pairs, categories)]
        rows += [
            {"scope": scope, "by": by, "value": value, "votes": which, "na": na, "items": len(part), **measures(part)}
            for by, value, na, part in slices
            if len(part)
        ]
    return pa.Table.from_pylist(rows, schema=AGREEMENT_SCHEMA)


def _named(pairs: Sequence[Sequence[Vote]], categories: Sequence[str]) -> Iterator[tuple[str, Ints]]:
    """Each category that is named at all: how many of two votes do not name it, and do, [items, 2]."""
    told = [pair for pair in pairs if any(vote.categories for vote in pair)]
    for category in categories:
        names = np.array([sum(category in vote.categories for vote in pair) for pair in told], dtype=np.int64)
        if names.any():
            yield category, np.column_stack([BLIND_VOTES - names, names])


def _blind_pairs(votes: pa.Table) -> dict[tuple[str, str], list[list[Vote]]]:
    """By scope and `first` or `last`: a vote each of the first two people on an item, where two voted and did not withdraw."""
    people = votes.filter(pc.equal(votes["annotator_type"], "human"))
    order = [(name, "ascending") for name in ("scope", "key", "time", "round", "annotator")]
    items: dict[tuple[str, str], dict[str, list[Vote]]] = {}
    for vote in votes_of(people.sort_by(order)):
        if not vote.gold:
            items.setdefault((vote.scope, vote.key), {}).setdefault(vote.annotator, []).append(vote)
    pairs: dict[tuple[str, str], list[list[Vote]]] = {}
    for (scope, _), cast in items.items():
        blind = [own for own in map(_in_force, cast.values()) if own is not None][:BLIND_VOTES]
        if len(blind) == BLIND_VOTES:
            for at, which in enumerate(("first", "last")):
                pairs.setdefault((scope, which), []).append([own[at] for own in blind])
    return pairs


def _in_force(own: Sequence[Vote]) -> tuple[Vote, Vote] | None:
    """A person's first blind vote on an item and the last one; None where the last is withdrawn or none was blind."""
    first = next((vote for vote in own if vote.blind and vote.label in COUNTED), None)
    return None if first is None or own[-1].label not in COUNTED else (first, own[-1])
