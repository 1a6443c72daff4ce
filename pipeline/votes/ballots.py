"""Votes as arrays: the form in which every method of aggregation counts them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.vote import COUNTED

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

SAFE, NA, UNSAFE = 0, 1, 2
"""Classes 0 to 2; `UNSAFE` is unsafe without a category. Class 3 + c is unsafe in category c."""
FIRST_CATEGORY = 3


@dataclass(frozen=True)
class Ballots:
    """The votes on one scope: those that count (safe, unsafe, na), sorted by item. Of each judge on an item only the last vote is
    in force: who passes or withdraws later has no vote.

    An item is a sample. V counted votes, A annotators, C categories, K = C + 3 classes.
    """

    keys: pa.Array  # [items] of the samples, also of those on which no vote counts
    skipped: Ints  # [items] how many votes were `skip`
    escalated: Ints  # [items]
    annotators: tuple[str, ...]
    categories: tuple[str, ...]
    item: Ints  # [V], sorted
    annotator: Ints  # [V]
    answer: Ints  # [V] a class; of several categories the predominant one
    named: Bools  # [V, C] all categories that the vote names
    human: Bools  # [V]
    gold: Bools  # [V]
    covers: Bools  # [A, C]

    @property
    def items(self) -> int:
        return len(self.keys)

    @property
    def classes(self) -> int:
        return FIRST_CATEGORY + len(self.categories)

    @property
    def full(self) -> Bools:
        """[A] whether the annotator covers every category: only then does its `safe` mean safe."""
        return np.asarray(self.covers.all(axis=1))

    def per_item(self, mask: Bools | None = None) -> Ints:
        """[items] how many counted votes each item has, or how many of those chosen by `mask` [V]."""
        chosen = self.item if mask is None else self.item[mask]
        return np.bincount(chosen, minlength=self.items).astype(np.int64)

    def only(self, mask: Bools) -> "Ballots":
        """The same items with some of the votes."""
        names = ("item", "annotator", "answer", "named", "human", "gold")
        return replace(self, **{name: getattr(self, name)[mask] for name in names})


def ballots_of(votes: pa.Table, categories: Sequence[str]) -> Ballots:
    """The votes on one scope, from a table of `VOTE_SCHEMA`; categories not among `categories` are passed over."""
    samples = votes["key"].combine_chunks().dictionary_encode()
    votes = last_of_each(votes.append_column("item", samples.indices))
    table = votes.filter(pc.is_in(votes["label"], pa.array(COUNTED))).sort_by("item")
    people = table["annotator"].combine_chunks().dictionary_encode()
    annotator = _ints(people.indices)
    named, predominant = _categories(table["categories"].combine_chunks(), categories)
    answer = np.where(predominant >= 0, predominant + FIRST_CATEGORY, UNSAFE)
    answer = np.select([_bools(pc.equal(table["label"], label)) for label in ("safe", "na")], [SAFE, NA], answer)
    covered, _ = _categories(table["covers"].combine_chunks(), categories)
    covers = np.zeros((len(people.dictionary), len(categories)), dtype=np.bool_)
    for column in range(len(categories)):
        covers[:, column] = np.bincount(annotator[covered[:, column]], minlength=len(covers)) > 0
    uncounted = [_ints(votes["item"].filter(pc.equal(votes["label"], label))) for label in ("skip", "escalate")]
    skipped, escalated = (np.bincount(items, minlength=len(samples.dictionary)) for items in uncounted)
    return Ballots(
        keys=samples.dictionary,
        skipped=skipped.astype(np.int64),
        escalated=escalated.astype(np.int64),
        annotators=tuple(people.dictionary.to_pylist()),
        categories=tuple(categories),
        item=_ints(table["item"]),
        annotator=annotator,
        answer=answer.astype(np.int64),
        named=named,
        human=_bools(pc.equal(table["annotator_type"], "human")),
        gold=_bools(table["gold"]),
        covers=covers,
    )


def last_of_each(votes: pa.Table) -> pa.Table:
    """One vote of each annotator on each `item` (a column of numbers): the last by time, then round, then as written."""
    annotators = _codes(votes["annotator"])
    who = _ints(votes["item"]) * (annotators.max(initial=0) + 1) + annotators
    if len(np.unique(who)) == len(who):  # the rule: nobody voted twice
        return votes
    times = _ints(pc.fill_null(votes["time"].cast(pa.int64()), 0))
    order = np.lexsort((np.arange(len(who)), _ranks(votes["round"]), times, who))
    last = np.append(np.diff(who[order]) != 0, True)
    return votes.take(pa.array(np.sort(order[last])))


def _codes(column: pa.ChunkedArray) -> Ints:
    return _ints(column.combine_chunks().dictionary_encode().indices)


def _ranks(column: pa.ChunkedArray) -> Ints:
    """Where each text stands among the texts, sorted."""
    encoded = column.combine_chunks().dictionary_encode()
    rank = np.argsort(np.argsort(np.array(encoded.dictionary.to_pylist(), dtype=object)))
    return np.asarray(rank[_ints(encoded.indices)], dtype=np.int64)


def _categories(lists: pa.ListArray, categories: Sequence[str]) -> tuple[Bools, Ints]:
    """[V, C] which of `categories` each list names, and [V] the first of those, or -1."""
    named = np.zeros((len(lists), len(categories)), dtype=np.bool_)
    predominant = np.full(len(lists), -1, dtype=np.int64)
    parents = _ints(pc.list_parent_indices(lists))
    codes = _ints(pc.fill_null(pc.index_in(pc.list_flatten(lists), pa.array(categories, pa.string())), -1))
    parents, codes = parents[codes >= 0], codes[codes >= 0]
    named[parents, codes] = True
    predominant[parents[::-1]] = codes[::-1]  # written last: the first of each list
    return named, predominant


def _ints(array: pa.Array | pa.ChunkedArray) -> Ints:
    return np.asarray(
        array.to_numpy(zero_copy_only=False) if isinstance(array, pa.Array) else array.to_numpy(), dtype=np.int64
    )


def _bools(array: pa.Array | pa.ChunkedArray) -> Bools:
    return np.asarray(
        array.to_numpy(zero_copy_only=False) if isinstance(array, pa.Array) else array.to_numpy(), dtype=np.bool_
    )
