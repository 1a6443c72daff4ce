"""Find the hashes of a list that are within 31 bits of a picture's, among millions, and miss none.

Multi-index hashing (Norouzi, Punjani and Fleet, CVPR 2012): of 12 bands of 21 bits one differs in at most 2 bits if at most 31 of
256 do (31 < 12 · 3), so looking up each band's value and its 231 neighbours within 2 bits finds every such hash. Of 10 M balanced
hashes some 13,000 are then compared. Short lists are compared whole.
"""

from functools import cached_property
from itertools import combinations

import numpy as np
import numpy.typing as npt

from stages.signature.pdq import BYTES, DISTANCE, Codes

BANDS, WIDTH, REACH = 12, 21, 2
WHOLE = 100_000  # hashes up to which all are compared: a third of a millisecond
Words = npt.NDArray[np.uint64]


class PdqIndex:
    """`codes` uint8 [n, 32]. Raises ValueError for another shape."""

    def __init__(self, codes: Codes) -> None:
        if codes.ndim != 2 or codes.shape[1] != BYTES:
            raise ValueError(f"expected uint8 [n, {BYTES}], got {list(codes.shape)}")
        self.words = _words(codes)

    def __len__(self) -> int:
        return len(self.words)

    def within(self, code: Codes, distance: int = DISTANCE) -> npt.NDArray[np.int64]:
        """Rows of the list at most so many bits (31 at most) from `code`, uint8 [32], in order."""
        if distance > DISTANCE:
            raise ValueError(f"the search is exact up to {DISTANCE} bits")
        own = _words(code[None])[0]
        rows = np.arange(len(self)) if len(self) <= WHOLE else self._candidates(own)
        near = np.bitwise_count(self.words[rows] ^ own).sum(axis=1) <= distance
        return np.unique(rows[near])

    def _candidates(self, own: Words) -> npt.NDArray[np.int64]:
        candidates = []
        for band, (order, starts) in enumerate(self._bands):
            probes = int(_band(own[None], band)[0]) ^ _NEIGHBOURS
            first, sizes = starts[probes], starts[probes + 1] - starts[probes]
            full = sizes > 0
            first, sizes = first[full], sizes[full]
            ends = np.cumsum(sizes)
            places = np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(first - (ends - sizes), sizes)
            candidates.append(order[places])
        return np.concatenate(candidates).astype(np.int64)

    @cached_property
    def _bands(self) -> list[tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]]:
        """Of each band: the rows sorted by its value, and where each value begins."""
        bands = []
        for band in range(BANDS):
            values = _band(self.words, band)
            order = np.argsort(values, kind="stable").astype(np.int32)
            starts = np.zeros(2**WIDTH + 1, dtype=np.int64)
            np.cumsum(np.bincount(values, minlength=2**WIDTH), out=starts[1:])
            bands.append((order, starts))
        return bands


def _words(codes: Codes) -> Words:
    return np.ascontiguousarray(codes).view(">u8").astype(np.uint64)


def _band(words: Words, band: int) -> npt.NDArray[np.uint32]:
    """uint32 [n]: bits `band` · 21 onwards of each."""
    word, offset = divmod(band * WIDTH, 64)
    value = words[:, word] << np.uint64(offset)
    if offset + WIDTH > 64:
        value = value | (words[:, word + 1] >> np.uint64(64 - offset))
    return (value >> np.uint64(64 - WIDTH)).astype(np.uint32)


_NEIGHBOURS = np.array(
    [sum(1 << bit for bit in bits) for size in range(REACH + 1) for bits in combinations(range(WIDTH), size)],
    dtype=np.int64,
)
