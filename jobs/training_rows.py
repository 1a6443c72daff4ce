"""A run's shards as rows to learn from: prompt, picture, and a label and categories for one scope."""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow.parquet as pq

from pipeline.store import Store
from schemas.sample import Pixels
from stages.committed.fetch_picture import decode


@dataclass(frozen=True, eq=False)
class Row:
    """One labelled pair; `label` 1 is unsafe."""

    key: str
    prompt: str
    pixels: Pixels
    label: int
    categories: tuple[str, ...]
    weight: float


@dataclass(frozen=True)
class ShardRows:
    """The rows of one split whose label of `scope` is safe or unsafe, in the order of the shards; re-iterable. `na` is left out."""

    store: Store
    split: str
    scope: str

    def __iter__(self) -> Iterator[Row]:
        for name in sorted(self.store.names(f"shards/{self.split}")):
            if not name.endswith(".parquet"):
                continue
            with self.store.open(name) as file:
                rows = pq.ParquetFile(file).read().to_pylist()
            for row in rows:
                label = row[f"{self.scope}_label"]
                if label in ("safe", "unsafe"):
                    data = self.store.read_range(row["tar"], row["tar_offset"], row["tar_size"])
                    named = tuple(c for c in (row[f"{self.scope}_categories"] or "").split(",") if c)
                    pixels = decode(data, row["format"])
                    yield Row(row["key"], row["prompt"], pixels, int(label == "unsafe"), named, row["weight"] or 1.0)
