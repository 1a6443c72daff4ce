"""Committed samples as the items of a further round: attacks, labels, signatures and shards all start from these."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow.parquet as pq

from pipeline.round import committed_files
from pipeline.store import Store
from schemas.sample import Sample, from_table


@dataclass(frozen=True)
class CommittedItems:
    """The samples of whole units of `rounds` ("rounds/000-generate", …), by round, unit and key; re-iterable.

    Each carries `tar`, `tar_offset` and `tar_size`, by which `FetchPicture` finds its picture in any worker.
    """

    store: Store
    rounds: Sequence[str]

    def __iter__(self) -> Iterator[Sample]:
        for folder in self.rounds:
            for name in committed_files(self.store, folder, "raw/", ".parquet"):
                with self.store.open(name) as file:
                    yield from from_table(pq.ParquetFile(file).read())
