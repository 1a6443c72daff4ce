"""Committed samples as the items of a further round: attacks, labels, signatures and shards all start from these."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow.parquet as pq

from pipeline.rounds.rounds import committed_files
from pipeline.storage.store import Store
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


@dataclass(frozen=True)
class PlannedItems:
    """The items of a round as its own `plan.parquet` has them, unit by unit."""

    store: Store
    folder: str

    def __iter__(self) -> Iterator[Sample]:
        with self.store.open(f"{self.folder}/plan.parquet") as file:
            plan = pq.ParquetFile(file)
            for unit in range(plan.num_row_groups):
                yield from from_table(plan.read_row_group(unit))


@dataclass(frozen=True)
class MissingSignatures:
    """The samples of `items` whose keys are not in `signed`."""

    items: Iterable[Sample]
    signed: frozenset[str]

    def __iter__(self) -> Iterator[Sample]:
        return (sample for sample in self.items if sample.key not in self.signed)
