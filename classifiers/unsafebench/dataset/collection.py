"""Section 3.1 of UnsafeBench: query every source by every keyword, keep each picture once, in the category that found it best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from classifiers.layers.encoder import ClipEncoder
from classifiers.unsafebench.dataset.clip_index import ClipIndex, text_vectors
from schemas.sample import Pixels
from stages.signature.perceptual import phash

NEAR = 10  # bits of 256 between the pHashes of doubles; unlike scenes of the embedded world are at least 16 apart


@dataclass(frozen=True, slots=True)
class RetrievedRow:
    """A row of the index, the category and keyword that found it, and their cosine."""

    row: int
    category: str
    keyword: str
    cosine: float


def collect(
    index: ClipIndex, encoder: ClipEncoder, keywords: Mapping[str, Sequence[str]], a_keyword: int
) -> list[RetrievedRow]:
    """The `a_keyword` nearest pictures of each keyword; a picture that several find goes to the nearest. In the order of rows."""
    best: dict[int, RetrievedRow] = {}
    for category, words in keywords.items():
        rows, cosines = index.nearest(text_vectors(encoder, words), a_keyword)
        for word, near, scores in zip(words, rows.tolist(), cosines.tolist(), strict=True):
            for row, cosine in zip(near, scores, strict=True):
                if row not in best or cosine > best[row].cosine:
                    best[row] = RetrievedRow(row, category, word, cosine)
    return [best[row] for row in sorted(best)]


def without_doubles(pixels: Sequence[Pixels]) -> list[int]:
    """The places of pictures that are not nearly one that came before (pHash of 256 bits)."""
    codes = np.stack([phash(each).view(np.uint64) for each in pixels]) if pixels else np.zeros((0, 4), np.uint64)
    kept: list[int] = []
    for place, code in enumerate(codes):
        if not kept or int(np.bitwise_count(codes[kept] ^ code).sum(axis=1).min()) > NEAR:
            kept.append(place)
    return kept
