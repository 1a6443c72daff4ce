"""Groups: the connected components of lineage, same words and near pictures. A group is in one split (DESIGN 3.6)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix  # type: ignore[import-untyped]  # has no types
from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

from pipeline.selection.edges import SAME_PICTURE, Edges, joined
from pipeline.selection.near import Ints

Flags = npt.NDArray[np.bool_]
NEW = -1
"""The split of a sample that has none yet; others are places in schemas.catalogue.SPLITS."""


@dataclass(frozen=True, slots=True)
class Components:
    """`group` numbers each sample's component; a sample with `bridge` ties two assigned splits together and stands alone."""

    group: Ints
    bridge: Flags


def components(size: int, edges: Sequence[Edges], was_split: npt.NDArray[np.int8]) -> Components:
    """Connect `size` samples without ever joining two splits that were assigned before.

    What is new is connected with itself first. Such a piece goes with the one split that it touches; one that touches two
    is left out (`bridge`). Two old samples of unlike splits that are near now (a rule was tightened) keep their splits: the
    one of the earlier split in SPLITS is left out, so that test stays as it was.
    """
    a, b = joined(edges)
    old_a, old_b = was_split[a] != NEW, was_split[b] != NEW
    piece = _connect(size, a[~old_a & ~old_b], b[~old_a & ~old_b])
    touched = np.zeros(size, dtype=np.uint8)  # bit s: the piece touches split s
    for new, old in ((a[~old_a & old_b], b[~old_a & old_b]), (b[old_a & ~old_b], a[old_a & ~old_b])):
        np.bitwise_or.at(touched, piece[new], np.left_shift(1, was_split[old]).astype(np.uint8))
    bridge = (was_split == NEW) & (np.bitwise_count(touched[piece]) > 1)
    across = old_a & old_b & (was_split[a] != was_split[b])
    for end, other in ((a, b), (b, a)):
        bridge[end[across & (was_split[end] < was_split[other])]] = True
    inside = ~across & ~bridge[a] & ~bridge[b]
    return Components(_connect(size, a[inside], b[inside]), bridge)


def _connect(size: int, a: Ints, b: Ints) -> Ints:
    graph = coo_matrix((np.ones(len(a), dtype=np.bool_), (a, b)), shape=(size, size))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def duplicates(edges: Sequence[Edges], candidates: Flags, first: Flags, words: Ints | None) -> dict[int, int]:
    """Which candidate is left out for which other: each near one that is kept, and nothing kept is near another.

    The winner is the one with `first` (it was kept before), then the one with the least id: no matter in which order
    samples came. With `words` (a number for each prompt) only pairs with equal words count.
    """
    size = len(candidates)
    rank = np.empty(size, dtype=np.int64)
    rank[np.lexsort((np.arange(size), ~first))] = np.arange(size)
    pictures = [edge for edge in edges if edge.kind in SAME_PICTURE]
    # Equal pictures are one class: the search for near ones has only compared one of each.
    same = _connect(size, *joined([edge for edge in pictures if edge.star]))
    lost: dict[int, int] = {}
    best: dict[int, dict[int, int]] = {}  # by class, then by words
    touched = np.unique(
        np.concatenate([np.zeros(0, np.int64), *(end for edge in pictures for end in (edge.a, edge.b))])
    )
    members = np.flatnonzero(candidates & np.isin(same, same[touched]))
    for one in members[np.argsort(rank[members])].tolist():
        winner = best.setdefault(int(same[one]), {}).setdefault(0 if words is None else int(words[one]), one)
        if winner != one:
            lost[one] = winner
    near = _near_pairs([edge for edge in pictures if not edge.star], same, best, rank)
    for high in sorted(near, key=lambda one: int(rank[one])):
        winners = [low for low in near[high] if low not in lost]
        if winners:
            lost[high] = min(winners, key=lambda one: int(rank[one]))
    return {one: lost.get(winner, winner) for one, winner in lost.items()}


def _near_pairs(edges: Sequence[Edges], same: Ints, best: dict[int, dict[int, int]], rank: Ints) -> dict[int, set[int]]:
    """For each class's best the better ones of other classes that are near it, words alike."""
    near: dict[int, set[int]] = {}
    for edge in edges:
        for a, b in zip(same[edge.a].tolist(), same[edge.b].tolist(), strict=True):
            for word in best.get(a, {}).keys() & best.get(b, {}).keys():
                low, high = sorted((best[a][word], best[b][word]), key=lambda one: int(rank[one]))
                near.setdefault(high, set()).add(low)
    return near


def largest(groups: Components, edges: Sequence[Edges]) -> dict[str, Any]:
    """The largest component: its size, and the edge that glued it, which is the one that joined the two largest parts.

    Edges are added in the order of certainty (lineage, words, pixels, then near ones by distance), as in Kruskal's algorithm.
    """
    sizes = np.bincount(groups.group)
    number = int(sizes.argmax())
    parts = _Parts()
    best: dict[str, Any] = {"joined": [0, 0], "kind": None, "a": None, "b": None, "distance": None}
    for edge in edges:
        inside = np.flatnonzero((groups.group[edge.a] == number) & (groups.group[edge.b] == number))
        for at in inside[np.argsort(edge.distance[inside], kind="stable")].tolist():
            a, b = int(edge.a[at]), int(edge.b[at])
            sides = parts.join(a, b)
            if min(sides) > min(best["joined"]):
                far = round(float(edge.distance[at]), 4)
                best = {"joined": sorted(sides), "kind": edge.kind, "a": a, "b": b, "distance": far}
    return {"size": int(sizes[number]), "share": round(float(sizes[number]) / len(groups.group), 6), "glue": best}


class _Parts:
    """Disjoint sets with sizes."""

    def __init__(self) -> None:
        self._above: dict[int, int] = {}
        self._size: dict[int, int] = {}

    def _top(self, one: int) -> int:
        path = []
        while (above := self._above.get(one, one)) != one:
            path.append(one)
            one = above
        for passed in path:
            self._above[passed] = one
        return one

    def join(self, a: int, b: int) -> tuple[int, int]:
        """Join; returns the sizes of the two parts before, (0, 0) if they were one."""
        a, b = self._top(a), self._top(b)
        if a == b:
            return 0, 0
        sizes = self._size.get(a, 1), self._size.get(b, 1)
        self._above[b], self._size[a] = a, sum(sizes)
        return sizes
