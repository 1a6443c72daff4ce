"""Rounds of signatures: each signs the committed samples that no earlier one has signed, so a growing run signs nothing twice."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow.parquet as pq

from pipeline.pack import Pack, parquet_bytes
from pipeline.plan import Plan
from pipeline.rounds.control_files import card
from pipeline.rounds.items import PlannedItems
from pipeline.rounds.plan_file import check_plan
from pipeline.rounds.round import Round, pending
from pipeline.rounds.rounds import all_rounds, committed_files, reopen_round
from pipeline.stage import Stage
from pipeline.storage.store import Store
from schemas.sample import Sample
from schemas.signature import signature_table

SUFFIX = "-signatures"


@dataclass(frozen=True)
class PackSignatures(Pack):
    """`signatures/unit-000123.parquet`, one row a sample."""

    needs: ClassVar[frozenset[str]] = frozenset({"signatures"})

    def files(self, unit: int, samples: Sequence[Sample], folder: str) -> Iterator[tuple[str, bytes]]:
        """One file."""
        yield f"signatures/unit-{unit:06d}.parquet", parquet_bytes(signature_table(samples))


def signature_rounds(store: Store, stages: Sequence[Stage]) -> list[Round]:
    """The rounds that the very same stages signed (or were about to), whose rows count."""
    mine = [stage.describe() for stage in stages]
    folders = [folder for folder in all_rounds(store) if folder.endswith(SUFFIX)]
    return [reopen_round(store, f, PackSignatures()) for f in folders if card(store, f).get("stages") == mine]


def unfinished(rounds: Sequence[Round]) -> list[tuple[Round, list[int]]]:
    """Rounds with the units that are left in them."""
    return [(round_, left) for round_ in rounds if (left := pending(round_))]


def signed_keys(store: Store, rounds: Sequence[Round]) -> frozenset[str]:
    """Keys of samples that these rounds signed or gave up on: a sample in quarantine is not tried again by itself."""
    keys: set[str] = set()
    for round_ in rounds:
        for start in ("signatures/", "quarantine/"):
            for name in committed_files(store, round_.folder, start, ".parquet"):
                with store.open(name) as file:
                    keys.update(pq.ParquetFile(file).read(columns=["key"])["key"].to_pylist())
    return frozenset(keys)


def resumed(round_: Round, stages: Sequence[Stage]) -> Plan:
    """The plan of a round that is already on disk."""
    known = card(round_.store, round_.folder)
    check_plan(round_.store, round_.folder, known)
    items = PlannedItems(round_.store, round_.folder)
    return Plan(tuple(stages), items, known["unit_size"], known["seed"], pack=round_.pack)
