"""Rounds of signatures: each signs the committed samples that no earlier one has signed, so a growing run signs nothing twice."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow.parquet as pq

from pipeline.commit import Pack, parquet_bytes
from pipeline.plan import Plan
from pipeline.round import Round, committed_files, pending
from pipeline.stage import Stage
from pipeline.store import Store
from schemas.errors import HazmatError
from schemas.sample import Sample, from_table
from schemas.signature import signature_table

SUFFIX = "-signatures"


@dataclass(frozen=True)
class PackSignatures(Pack):
    """`signatures/unit-000123.parquet`, one row a sample."""

    needs: ClassVar[frozenset[str]] = frozenset({"signatures"})

    def files(self, unit: int, samples: Sequence[Sample], folder: str) -> Iterator[tuple[str, bytes]]:
        """One file."""
        yield f"signatures/unit-{unit:06d}.parquet", parquet_bytes(signature_table(samples))


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
class Unsigned:
    """The samples of `items` whose keys are not in `signed`."""

    items: Iterable[Sample]
    signed: frozenset[str]

    def __iter__(self) -> Iterator[Sample]:
        return (sample for sample in self.items if sample.key not in self.signed)


def rounds_with(store: Store, kind: str) -> list[str]:
    """The rounds of a run that hold committed files of a kind ("raw", "votes", "signatures"), in order."""
    folders = {name.split("/", 2)[1] for name in store.names("rounds") if f"/{kind}/" in name}
    return [f"rounds/{folder}" for folder in sorted(folders)]


def all_rounds(store: Store) -> list[str]:
    """Every round of a run that has been opened, in order."""
    names = (name for name in store.names("rounds") if name.endswith("/round.json"))
    return sorted(name.removesuffix("/round.json") for name in names)


def further_round(store: Store, suffix: str) -> str:
    """The folder of a further round: its number is one more than the last."""
    numbers = [int(folder.split("/")[1].split("-")[0]) for folder in all_rounds(store)]
    return f"rounds/{max(numbers, default=-1) + 1:03d}{suffix}"


def card(store: Store, folder: str) -> dict[str, object]:
    """A round's `round.json`. Raises HazmatError if it is not there or no JSON."""
    data = store.read(f"{folder}/round.json")
    try:
        found: dict[str, object] = json.loads(data or b"")
    except ValueError as error:
        raise HazmatError(f"{store.url}/{folder}/round.json is missing or torn: {error}") from error
    return found


def reopen_round(store: Store, folder: str, pack: Pack) -> Round:
    """A round as it was planned, without planning it again."""
    known = card(store, folder)
    return Round(store, folder, str(known["fingerprint"]), int(str(known["units"])), int(str(known["items"])), pack)


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
    items = PlannedItems(round_.store, round_.folder)
    return Plan(tuple(stages), items, int(str(known["unit_size"])), int(str(known["seed"])), pack=round_.pack)
