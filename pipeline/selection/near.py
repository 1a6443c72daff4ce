"""Find all near pairs among n signatures without comparing all n² / 2: hash into buckets, compare within buckets.

Pictures: multi-index hashing (Norouzi, Punjani & Fleet, CVPR 2012): of LIMIT + 1 bands one is equal if at most LIMIT bits differ,
so nothing within LIMIT is missed. Words: MinHash bands (Broder 1997). Embeddings: random hyperplanes (Charikar 2002). The latter
two miss a pair at the threshold with a chance of about 2 %, farther above it with less.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
BITS = 256
WINDOW = 4096
"""Members of one bucket compared with each: 16-bit bands of 1 M codes hold 15. A fuller one is data that a hash cannot tell apart
(blank pictures are left out before); comparing all of it would take n². What is skipped is counted."""
CHUNK = 1 << 18  # pairs compared at a time
ROWS = 1 << 17  # codes turned into bands at a time
PLANES, TABLES = 20, 32  # at cosine 0.95 a table keeps a pair with (1 - 0.318/π)^20 = 0.12, so 32 tables with 0.98
WORD_BANDS = 16  # of 4 values each: at Jaccard 0.8 found with 1 - (1 - 0.8^4)^16 = 0.9998


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs a < b of row numbers with their distance, each once, sorted; `skipped` were never compared (see WINDOW)."""

    a: Ints
    b: Ints
    distance: Floats
    skipped: int = 0


Distance = Callable[[Ints, Ints], Floats]


def hamming_pairs(codes: npt.NDArray[np.uint8], limit: int) -> Pairs:
    """Pairs of `codes` (uint8 [n, 32], distinct) that differ in at most `limit` bits."""
    turned = _permuted(codes)
    words = turned.view(np.uint64)
    bands = turned.view(np.uint16)
    if limit >= bands.shape[1]:
        raise ValueError(f"near pictures within {limit} bits: with {bands.shape[1]} bands the search is exact up to 15")

    def distance(a: Ints, b: Ints) -> Floats:
        far: Floats = np.bitwise_count(words[a] ^ words[b]).sum(axis=1).astype(np.float32)
        return far

    return _collect((bands[:, band] for band in range(bands.shape[1])), distance, limit, len(codes), head=words[:, 0])


def minhash_pairs(values: npt.NDArray[np.uint32], similarity: float) -> Pairs:
    """Pairs of `values` (uint32 [n, 64]) whose estimated Jaccard similarity is at least `similarity`; distance is 1 - that."""
    rows = values.shape[1] // WORD_BANDS

    def bands() -> Iterator[npt.NDArray[np.uint64]]:
        for band in range(WORD_BANDS):
            part = values[:, band * rows : (band + 1) * rows].astype(np.uint64)
            mixed = np.zeros(len(part), dtype=np.uint64)
            with np.errstate(over="ignore"):
                for column in range(rows):
                    mixed = (mixed ^ part[:, column]) * np.uint64(0x9E3779B97F4A7C15)  # Fibonacci hashing (Knuth)
            yield mixed

    def distance(a: Ints, b: Ints) -> Floats:
        far: Floats = (1 - (values[a] == values[b]).mean(axis=1)).astype(np.float32)
        return far

    return _collect(bands(), distance, 1 - similarity, len(values))


def cosine_pairs(vectors: npt.NDArray[np.floating[Any]], cosine: float) -> Pairs:
    """Pairs of unit-length `vectors` (float [n, d]) with at least this cosine; distance is 1 - cosine."""
    rng = np.random.default_rng(11)

    def bands() -> Iterator[npt.NDArray[np.uint64]]:
        weights = np.uint64(1) << np.arange(PLANES, dtype=np.uint64)
        for _ in range(TABLES):
            planes = rng.standard_normal((vectors.shape[1], PLANES)).astype(np.float32)
            sides = [part.astype(np.float32) @ planes > 0 for part in _parts(vectors)]
            yield np.concatenate([side @ weights for side in sides])

    def distance(a: Ints, b: Ints) -> Floats:
        products = vectors[a].astype(np.float32) * vectors[b].astype(np.float32)
        far: Floats = (1 - products.sum(axis=1)).astype(np.float32)
        return far

    return _collect(bands(), distance, 1 - cosine + 1e-6, len(vectors), chunk=1 << 13)


def _parts(rows: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    return (rows[first : first + ROWS] for first in range(0, len(rows), ROWS))


def _permuted(codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The codes with their bits in one fixed random order: neighbours in a pHash say nearly the same, and so would its bands."""
    order = np.random.default_rng(7).permutation(BITS)
    turned = [np.packbits(np.unpackbits(part, axis=1)[:, order], axis=1) for part in _parts(codes)]
    return np.ascontiguousarray(np.concatenate(turned)) if turned else np.zeros((0, BITS // 8), dtype=np.uint8)


def _collect(
    bands: Iterator[npt.NDArray[Any]],
    distance: Distance,
    limit: float,
    rows: int,
    head: npt.NDArray[np.uint64] | None = None,
    chunk: int = CHUNK,
) -> Pairs:
    """Compare what shares a bucket in any band. `head`, a word of each code, rules out most pairs without fetching the rest."""
    columns: dict[str, list[npt.NDArray[Any]]] = {"code": [], "distance": []}
    skipped = 0
    for band in bands if rows else ():
        order = np.argsort(band, kind="stable")
        ends, left_out = _ends(band[order])
        skipped += left_out
        heads = None if head is None else head[order]
        for first, second in _bucket_pairs(ends, chunk):
            if heads is not None:  # read in order, so five times as fast as `distance`
                worth = np.bitwise_count(heads[first] ^ heads[second]) <= limit
                first, second = first[worth], second[worth]
            if not len(first):
                continue
            a, b = order[first], order[second]
            far = distance(a, b)
            near = far <= limit
            columns["code"].append(np.minimum(a, b)[near] * rows + np.maximum(a, b)[near])
            columns["distance"].append(far[near])
    if not columns["code"]:
        return Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32), skipped)
    code, index = np.unique(np.concatenate(columns["code"]), return_index=True)
    return Pairs(code // rows, code % rows, np.concatenate(columns["distance"])[index], skipped)


def _ends(ordered: npt.NDArray[Any]) -> tuple[Ints, int]:
    """For each place of a sorted band the end of what it is compared with; and how many pairs WINDOW leaves out."""
    places = np.arange(len(ordered), dtype=np.int64)
    if not len(ordered):
        return places, 0
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)) + 1
    ends = np.repeat(last, np.diff(last, prepend=0))
    bounded = np.minimum(ends, places + WINDOW)
    return bounded, int((ends - bounded).sum())


def _bucket_pairs(ends: Ints, chunk: int) -> Iterator[tuple[Ints, Ints]]:
    """Places (i, j), i < j < ends[i], in chunks."""
    alive = np.flatnonzero(ends - np.arange(len(ends)) > 1)
    step = 1
    while len(alive):
        for first in range(0, len(alive), chunk):
            part = alive[first : first + chunk]
            yield part, part + step
        step += 1
        alive = alive[alive + step < ends[alive]]
