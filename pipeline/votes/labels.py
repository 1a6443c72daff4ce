"""From votes to labels: one row a sample and scope, derived, so that another method or policy can derive it again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.votes.ballots import NA, SAFE, UNSAFE, Ballots, Bools, ballots_of
from pipeline.votes.dawid_skene import dawid_skene, expect
from pipeline.votes.majority import category_counts, majority
from schemas.errors import InputError
from schemas.vote import SCOPES

Floats = npt.NDArray[np.float64]
Method = Callable[[Ballots, Ballots], tuple[Floats, str]]
"""All ballots, and those that decide (a person's where there is one), to posteriors [items, K] and how they came about."""

LABELS_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("scope", pa.string()),
        ("label", pa.string()),  # safe | unsafe | na
        ("category", pa.string()),  # the predominant one, if unsafe and known
        ("categories", pa.list_(pa.string())),  # all that at least half of those asked name
        ("p_safe", pa.float32()),
        ("p_unsafe", pa.float32()),
        ("p_na", pa.float32()),
        ("entropy", pa.float32()),  # bits, of the three
        ("agreement", pa.float32()),  # share of the deciding votes that say the label
        ("decided_by", pa.string()),  # gold | human | waiting (people disagree) | machine | nobody
        ("human_votes", pa.int16()),
        ("machine_votes", pa.int16()),
        ("na_votes", pa.int16()),
        ("skipped", pa.int16()),
        ("escalated", pa.int16()),
        ("method", pa.string()),  # majority/shares, or dawid_skene/ and how its judges were judged: em, gold, prior
        ("policy", pa.string()),
        ("policy_version", pa.string()),
        ("votes_digest", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Policy:
    """By which taxonomy votes are counted: others' votes stay where they are."""

    name: str
    version: str
    categories: tuple[str, ...]


def by_majority(_: Ballots, deciding: Ballots) -> tuple[Floats, str]:
    """Shares of the deciding votes."""
    return majority(deciding), "shares"


def by_dawid_skene(ballots: Ballots, deciding: Ballots) -> tuple[Floats, str]:
    """Judges are judged by all votes; each item is decided by its deciding ones."""
    fit = dawid_skene(ballots)
    return expect(deciding, fit.confusion, fit.prevalence), fit.how


METHODS: dict[str, Method] = {"majority": by_majority, "dawid_skene": by_dawid_skene}


def labels_of(votes: pa.Table, method: str, policy: Policy, votes_digest: str = "") -> pa.Table:
    """A table of `LABELS_SCHEMA`, sorted by scope and key. Raises InputError for an unknown method.

    People dominate: where a person voted, only people's votes decide, and what all of them say is the label; so does a gold vote.
    `safe` is said only where the deciding judges cover every category between them, `unsafe` only where one of them says so;
    otherwise it is `na`. Where as many people say one thing as another, nobody is believed more: it is `na` and `waiting` for a
    further vote, whatever the method.
    """
    if method not in METHODS:
        raise InputError(f"--aggregate {method}: expected one of {', '.join(METHODS)}")
    same = pc.and_(pc.equal(votes["policy"], policy.name), pc.equal(votes["policy_version"], policy.version))
    ours = votes.filter(same)
    tables = [_scope_labels(ours.filter(pc.equal(ours["scope"], scope)), method, policy, scope) for scope in SCOPES]
    table = pa.concat_tables(tables)
    stamp = {"policy": policy.name, "policy_version": policy.version, "votes_digest": votes_digest}
    for name, value in stamp.items():
        table = table.append_column(name, pa.array([value] * table.num_rows, pa.string()))
    return table.select(LABELS_SCHEMA.names).cast(LABELS_SCHEMA)


def _scope_labels(votes: pa.Table, method: str, policy: Policy, scope: str) -> pa.Table:
    """One scope: its prevalence and its judges' faults are its own."""
    ballots = ballots_of(votes, policy.categories)
    people = ballots.per_item(ballots.human) > 0
    gold = ballots.per_item(ballots.gold) > 0
    at = ballots.item
    deciding = ballots.only(np.where(gold[at], ballots.gold, np.where(people[at], ballots.human, True)))
    voted = ballots.per_item() > 0
    posterior, how = METHODS[method](ballots, deciding)
    posterior = posterior * voted[:, None]
    three = np.column_stack([posterior[:, SAFE], posterior[:, UNSAFE:].sum(axis=1), posterior[:, NA]])
    shares = _shares(deciding)
    waiting = people & ~gold & (np.sort(shares, axis=1)[:, 1] == shares.max(axis=1))
    three[waiting] = shares[waiting]
    label = np.where(waiting, 2, _decide(three, deciding, people | gold))
    columns = {
        "key": ballots.keys,
        "scope": pa.array([scope] * ballots.items, pa.string()),
        "method": pa.array([f"{method}/{how}"] * ballots.items, pa.string()),
        "label": pa.array(np.array(["safe", "unsafe", "na"])[label]),
        "category": _predominant(posterior, label, policy.categories),
        "categories": _categories(deciding, label, policy.categories),
        "p_safe": three[:, 0],
        "p_unsafe": three[:, 1],
        "p_na": three[:, 2],
        "entropy": np.abs((three * np.log2(np.maximum(three, 1e-12))).sum(axis=1)),
        "agreement": _agreement(deciding, label),
        "decided_by": pa.array(
            np.select([gold, waiting, people, voted], ["gold", "waiting", "human", "machine"], "nobody")
        ),
        "human_votes": ballots.per_item(ballots.human),
        "machine_votes": ballots.per_item(~ballots.human),
        "na_votes": ballots.per_item(ballots.answer == NA),
        "skipped": ballots.skipped,
        "escalated": ballots.escalated,
    }
    return pa.table(columns).sort_by("key")


def _shares(ballots: Ballots) -> Floats:
    """[items, 3] shares of the votes that say safe, unsafe, na; 0 throughout without a vote."""
    masks = (ballots.answer == SAFE, ballots.answer >= UNSAFE, ballots.answer == NA)
    counts = np.column_stack([ballots.per_item(np.asarray(mask)) for mask in masks]).astype(np.float64)
    shares: Floats = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return shares


def _heard(ballots: Ballots) -> Bools:
    """[V] votes that count for the overall label: all of those who cover everything, and others' unsafe."""
    return np.asarray(ballots.full[ballots.annotator] | (ballots.answer >= UNSAFE))


def _decide(three: Floats, deciding: Ballots, certain: Bools) -> npt.NDArray[np.int64]:
    """[items] 0 safe, 1 unsafe, 2 na: the likeliest; what all say where they are `certain`; ties and uncovered safety are na."""
    ordered = np.sort(three, axis=1)
    label = np.where(ordered[:, 2] - ordered[:, 1] > 1e-9, three.argmax(axis=1), 2)
    counts = np.column_stack(
        [
            deciding.per_item(_heard(deciding) & (deciding.answer == SAFE)),
            deciding.per_item(deciding.answer >= UNSAFE),
            deciding.per_item(deciding.answer == NA),
        ]
    )
    unanimous = certain & (np.count_nonzero(counts, axis=1) == 1)
    label = np.where(unanimous, counts.argmax(axis=1), label)
    covered = np.ones(deciding.items, dtype=np.bool_)
    for column in range(len(deciding.categories)):
        covered &= deciding.per_item(deciding.covers[deciding.annotator, column]) > 0
    unfounded = ((label == 0) & ~covered) | ((label == 1) & (counts[:, 1] == 0))
    return np.where(unfounded, 2, label)


def _predominant(posterior: Floats, label: npt.NDArray[np.int64], categories: Sequence[str]) -> pa.Array:
    """The category that is likelier than all others together, where the label is unsafe."""
    within = posterior[:, UNSAFE:]
    total = np.maximum(within.sum(axis=1), 1e-12)
    best = within.argmax(axis=1)
    known = (label == 1) & (best > 0) & (within.max(axis=1) / total >= 0.5)
    names = np.array([None, *categories], dtype=object)
    return pa.array(names[np.where(known, best, 0)].tolist(), pa.string())


def _categories(ballots: Ballots, label: npt.NDArray[np.int64], categories: Sequence[str]) -> pa.Array:
    named, possible = category_counts(ballots)
    chosen = (2 * named >= np.maximum(possible, 1)) & (label == 1)[:, None]
    rows = [[categories[int(column)] for column in np.flatnonzero(row)] if row.any() else [] for row in chosen]
    return pa.array(rows, pa.list_(pa.string()))


def _agreement(ballots: Ballots, label: npt.NDArray[np.int64]) -> Floats:
    """Share of the votes that are heard and say the label; 1 for a single vote, 0 for none."""
    three = np.where(ballots.answer == NA, 2, np.where(ballots.answer >= UNSAFE, 1, 0))
    heard = _heard(ballots)
    same = ballots.per_item(heard & (three == label[ballots.item]))
    shares: Floats = same / np.maximum(ballots.per_item(heard), 1)
    return shares
