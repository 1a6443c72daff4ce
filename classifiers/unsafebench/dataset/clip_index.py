"""Pictures by text: a search over CLIP vectors by usearch, the stand-in for the search engines of LAION-5B and Lexica."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from usearch.index import Index, MetricKind, search

from classifiers.layers.encoder import ClipEncoder

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
EXACT = 2_000_000  # vectors; up to here all are compared, a second or two a query at 512 dimensions


@dataclass(frozen=True, eq=False)
class ClipIndex:
    """`vectors` float32 [n, width] of unit length, in memory or memory-mapped.

    Up to `exact` vectors nothing near is missed; beyond, a graph of neighbours is built once (HNSW, Malkov and Yashunin 2020).
    """

    vectors: Floats
    exact: int = EXACT

    def nearest(self, queries: Floats, count: int) -> tuple[Ints, Floats]:
        """Rows [q, count] and cosines [q, count] of the nearest to unit queries [q, width], nearest first."""
        count = min(count, len(self.vectors))
        if not count:
            return np.zeros((len(queries), 0), np.int64), np.zeros((len(queries), 0), np.float32)
        if len(self.vectors) <= self.exact:
            matches = search(self.vectors, queries, count, MetricKind.IP, exact=True, threads=1)
        else:
            matches = self._graph.search(queries, count, threads=1)
        shape = (len(queries), count)
        return matches.keys.astype(np.int64).reshape(shape), (1 - matches.distances).astype(np.float32).reshape(shape)

    @cached_property
    def _graph(self) -> Any:
        graph = Index(ndim=self.vectors.shape[1], metric=MetricKind.IP, dtype="f32")
        graph.add(np.arange(len(self.vectors)), self.vectors, threads=1)  # one thread: the same graph every time
        return graph


@torch.no_grad()
def picture_vectors(encoder: ClipEncoder, pixels: Tensor, batch: int = 64) -> Floats:
    """float32 [n, width] of pictures [n, 3, h, w] in [0, 1]."""
    vectors: Floats = torch.cat([encoder.image(part) for part in torch.split(pixels, batch)]).numpy()
    return vectors


@torch.no_grad()
def text_vectors(encoder: ClipEncoder, texts: Sequence[str]) -> Floats:
    """float32 [n, width]."""
    vectors: Floats = encoder.text(encoder.encode(list(texts))).numpy()
    return vectors
