"""What looks like a sample: nearest by the embeddings that the shards were signed with, and a map of all of them.

Without embeddings the perceptual hash is asked. Exact search: a million vectors are compared in well under a second.
"""

import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from classifiers.serving.limits import RequestError
from pipeline.catalogue.gather import committed
from pipeline.storage.store import Store
from schemas.signature import PHASH_BYTES

PART = 1 << 16  # vectors compared at a time
ON_MAP = 20_000  # points; more are not told apart, and a browser should not have to draw them
NEAREST = 48


@dataclass(frozen=True)
class Neighbourhood:
    """Keys [n] and either embeddings, float16 [n, d] of unit length, or perceptual hashes, uint8 [n, 32]."""

    keys: npt.NDArray[Any]
    vectors: npt.NDArray[Any]
    kind: str  # embedding | phash

    def nearest(self, key: str, count: int = NEAREST) -> list[tuple[str, float]]:
        """(key, distance) of the nearest others. Cosine distance of embeddings, share of differing bits of hashes."""
        places = np.flatnonzero(self.keys == key)
        if not len(places):
            raise RequestError(404, "unsigned", f"{key[:40]} has no {self.kind}; make shards to sign it")
        far = self._distances(self.vectors[places[0]])
        far[places] = np.inf
        order = np.argpartition(far, min(count, len(far) - 1))[:count]
        order = order[np.argsort(far[order], kind="stable")]
        return [(str(self.keys[place]), float(far[place])) for place in order if np.isfinite(far[place])]

    def _distances(self, one: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        far = np.empty(len(self.keys), np.float32)
        for first in range(0, len(far), PART):
            part = self.vectors[first : first + PART]
            if self.kind == "phash":
                far[first : first + PART] = np.bitwise_count(part ^ one).sum(axis=1) / (8 * PHASH_BYTES)
            else:
                far[first : first + PART] = 1 - part.astype(np.float32) @ one.astype(np.float32)
        return far

    def flat(self) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32]]:
        """Keys [m] of at most ON_MAP samples, evenly picked, and their first two principal components [m, 2] in [-1, 1]."""
        chosen = np.unique(np.linspace(0, len(self.keys) - 1, min(ON_MAP, len(self.keys))).astype(np.int64))
        part = self.vectors[chosen]
        rows = (np.unpackbits(part, axis=1) if self.kind == "phash" else part).astype(np.float32)
        rows -= rows.mean(axis=0)
        _, axes = np.linalg.eigh(rows.T @ rows)
        flat = rows @ axes[:, :-3:-1]
        spread = np.abs(flat).max(axis=0)
        return self.keys[chosen], (flat / np.where(spread > 0, spread, 1)).astype(np.float32)


@dataclass
class Neighbours:
    """The run's neighbourhood, read when somebody first asks."""

    store: Store
    found: Neighbourhood | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self) -> Neighbourhood:
        """Raises RequestError (409) where nothing is signed yet."""
        with self.lock:
            if self.found is None:
                self.found = _read(self.store)
            return self.found


def _read(store: Store) -> Neighbourhood:
    """The last signature of each sample."""
    tables = []
    for name in committed(store, "signatures"):
        with store.open(name) as file:
            tables.append(pq.read_table(file, columns=["key", "embedding", "phash"]))
    whole = pa.concat_tables(tables) if tables else None
    for column in ("embedding", "phash"):
        table = None if whole is None else whole.filter(whole[column].is_valid())
        if table is None or not len(table):
            continue
        keys = np.array(table["key"].to_pylist())
        if column == "phash":
            data = np.frombuffer(b"".join(table["phash"].to_pylist()), np.uint8).reshape(-1, PHASH_BYTES)
        else:
            values = table["embedding"].combine_chunks()
            data = np.asarray(values.flatten()).reshape(len(keys), -1)
        _, last = np.unique(keys[::-1], return_index=True)
        last = np.sort(len(keys) - 1 - last)
        return Neighbourhood(keys[last], data[last], column)
    raise RequestError(409, "unsigned", f"nothing is signed yet: jobs/shards.py {store.url} signs every sample")
