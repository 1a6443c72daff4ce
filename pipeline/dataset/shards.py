"""Shards: kept samples as WebDataset tars with Parquet rows beside them. A plan whose units are the shards of the keep-list.

A sample is four members of its tar: the picture, `KEY.json`, `KEY.txt` (the prompt) and `KEY.cls` (the label of the pair as a
number), the layout that img2dataset made the habit; open_clip reads picture and text, timm picture and class.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.catalogue.duck import parquet, quoted, reach, scratch_database
from pipeline.catalogue.gather import KEEP, committed
from pipeline.pack import BLOCK, Members, Pack, pack_tar, parquet_bytes
from pipeline.plan import Plan
from pipeline.rounds.control_files import read_receipt
from pipeline.rounds.round import Round
from pipeline.selection.keep import SPLIT_ORDER
from pipeline.storage.open_store import open_store
from pipeline.storage.store import Store
from schemas.catalogue import CLASSES, KEEP_SCHEMA, UNLABELLED
from schemas.control_file import ControlFileError
from schemas.manifest import Receipt
from schemas.sample import LOCATION, SAMPLE_SCHEMA, STORED, Sample, from_table, to_row, to_table

FOLDER = "shards"
MANIFEST = f"{FOLDER}/manifest.json"
FACTS = tuple(name for name in KEEP_SCHEMA.names if name not in ("key", "shard"))
LABEL_FACTS = tuple(name for name in FACTS if name.endswith(("_label", "_categories")))
IN_JSON = ("key", "root", "clean", "prompt", "generation_prompt", "source")
PROVENANCE = tuple(name for name in STORED if name not in (*IN_JSON, *LOCATION))
SHARD_SCHEMA = pa.schema([*SAMPLE_SCHEMA, *(KEEP_SCHEMA.field(name) for name in FACTS)])
_JSON = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Slot:
    """One shard of the keep-list: `count` samples as `SPLIT/000045.tar` and `.parquet`."""

    split: str
    shard: int
    count: int

    @property
    def name(self) -> str:
        """Within `shards/`, without the ending."""
        return f"{self.split}/{self.shard:06d}"


@dataclass(frozen=True)
class PackShard(Pack):
    """`SPLIT/000045.tar` and `.parquet`, with what the keep-list says of each sample in both.

    `keep` is the digest of the keep-list, which has a row group a shard; `url` is the run's.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"encoded", "format"})
    slots: tuple[Slot, ...]
    keep: str
    url: str = field(repr=False)
    layout: int = 2  # 1 had no `txt` and no `cls`

    def files(self, unit: int, samples: Sequence[Sample], folder: str) -> Iterator[tuple[str, bytes]]:
        """The tar, then the rows that say where in it each picture lies. Both are in the order of keys, which are hashes."""
        name = self.slots[unit].name
        facts = {row["key"]: row for row in keep_rows(open_store(self.url), unit).to_pylist()}
        rows = {sample.key: {**to_row(sample), **spelt(facts[sample.key])} for sample in samples}
        tar, extents = pack_tar(samples, lambda sample: members_of(rows[sample.key]))
        yield f"{name}.tar", tar
        for key, extent in extents.items():
            rows[key] |= {"tar": f"{folder}/{name}.tar", "tar_offset": extent.offset, "tar_size": extent.size}
        yield f"{name}.parquet", parquet_bytes(pa.Table.from_pylist([rows[key] for key in sorted(rows)], SHARD_SCHEMA))


def members_of(row: dict[str, Any]) -> Members:
    """What lies beside the picture."""
    return {
        "json": shard_json(row),
        "txt": row["prompt"].encode(),
        "cls": str(CLASSES.index(row["pair_label"])).encode(),
    }


def spelt(facts: dict[str, Any]) -> dict[str, Any]:
    """What the keep-list says, as shards spell it, tar and Parquet alike: a label that is missing is `unlabelled`, not null."""
    missing = {name: UNLABELLED if name.endswith("_label") else "" for name in LABEL_FACTS if facts[name] is None}
    return {**facts, **missing}


def shard_json(row: dict[str, Any]) -> bytes:
    """The member beside the picture. Every shard has the same fields with the same types and no nulls: readers that guess a
    schema from the first samples (`datasets` does) would fail on later ones. All else that is known of the sample is in
    `provenance`, as JSON in a string.
    """
    record = {name: row[name] for name in (*IN_JSON, *FACTS)}
    record["test_set"] = row["test_set"] or row["split"]
    rest = {name: row[name] for name in PROVENANCE if row[name] is not None}
    record["provenance"] = _JSON.encode(rest)
    return _JSON.encode(record).encode()


def keep_rows(store: Store, unit: int) -> pa.Table:
    """The keep-list's rows of one shard, in the order of keys."""
    with store.open(KEEP) as file:
        return pq.ParquetFile(file).read_row_group(unit)


def slots_of(store: Store) -> tuple[Slot, ...]:
    """The shards that the keep-list asks for, in order."""
    slots = []
    with store.open(KEEP) as file:
        keep = pq.ParquetFile(file)
        for unit in range(keep.num_row_groups):
            part = keep.read_row_group(unit, columns=["split", "shard"])
            slots.append(Slot(part["split"][0].as_py(), part["shard"][0].as_py(), len(part)))
    return tuple(slots)


@dataclass(frozen=True)
class KeptItems:
    """The committed samples of the keep-list, shard by shard; re-iterable, streamed out of DuckDB, which sorts on disk."""

    store: Store

    def __iter__(self) -> Iterator[Sample]:
        with scratch_database() as con:
            reach(con, self.store)
            raw = parquet(self.store, committed(self.store, "raw"), SAMPLE_SCHEMA)
            keep = quoted(f"{self.store.url}/{KEEP}")
            columns = ", ".join(f"raw.{name}" for name in SAMPLE_SCHEMA.names)
            reader = con.sql(f"""
                SELECT {columns} FROM {raw} raw JOIN read_parquet({keep}) kept USING (key)
                ORDER BY {SPLIT_ORDER}, shard, key
            """).to_arrow_reader(4096)
            for batch in reader:
                yield from from_table(pa.Table.from_batches([batch]))


@dataclass(frozen=True)
class ShardPlan(Plan):
    """A plan whose units are the shards of `pack`: cut where a shard ends, not every `unit_size` items."""

    def units(self) -> Iterator[list[Sample]]:
        """The items, a list a shard."""
        assert isinstance(self.pack, PackShard)
        items = iter(self.items)
        for slot in self.pack.slots:
            yield list(islice(items, slot.count))


def keep_digest(store: Store) -> str:
    """sha256 of the keep-list's bytes."""
    return store.digest(KEEP) or ""


def adopt_unchanged(store: Store, now: Round) -> int:
    """Let the plan have the shards of an earlier one that it leaves as they are: same name, rows and facts. Returns how many.

    Each such shard's receipt is written again under the new fingerprint; its files are not touched.
    """
    assert isinstance(now.pack, PackShard)
    units = {slot.name: unit for unit, slot in enumerate(now.pack.slots)}
    adopted = {}
    for name in list(store.names(f"{FOLDER}/receipts")):
        try:
            receipt = read_receipt(store, name)
        except ControlFileError:  # its shard is written again
            store.delete(name)
            continue
        unit = units.get(receipt.files[0].name.removesuffix(".tar"))
        if receipt.fingerprint == now.fingerprint and unit == receipt.unit:
            continue
        if unit is not None and not receipt.quarantined and _same_shard(store, receipt, now, unit):
            adopted[unit] = replace(receipt, unit=unit, fingerprint=now.fingerprint)
        store.delete(name)
    for unit, receipt in adopted.items():
        store.write(f"{FOLDER}/receipts/unit-{unit:06d}.json", receipt.to_json())
    return len(adopted)


def _same_shard(store: Store, receipt: Receipt, now: Round, unit: int) -> bool:
    """Whether the shard on disk holds the very samples and facts that the new plan wants in it."""
    if any(store.size(f"{FOLDER}/{entry.name}") != entry.size for entry in receipt.files):
        return False
    if not _of_this_layout(store.read_range(f"{FOLDER}/{receipt.files[0].name}", 0, BLOCK)):
        return False
    with store.open(f"{FOLDER}/{receipt.files[1].name}") as file:
        table: Any = pq.ParquetFile(file).read()
    there, wanted = (
        [spelt(row) for row in part.select(["key", *FACTS]).to_pylist()] for part in (table, keep_rows(store, unit))
    )
    if there != wanted:
        return False
    planned: Any = to_table(now.load(unit).samples)
    moved = ("tar", "tar_offset", "tar_size")
    return all(
        table[name].to_pylist() == planned[name].to_pylist() for name in planned.column_names if name not in moved
    )


def _of_this_layout(header: bytes) -> bool:
    """Whether a tar begins as those of today do: `KEY.cls` is the first of a sample's members."""
    return header[:100].rstrip(b"\0").endswith(b".cls")


def remove_stale(store: Store, slots: Iterable[Slot]) -> int:
    """Delete shards that the keep-list no longer has; returns how many files."""
    wanted = {f"{FOLDER}/{slot.name}.{ending}" for slot in slots for ending in ("tar", "parquet")}
    folders = tuple(f"{FOLDER}/{split}/" for split in ("train", "val", "test"))
    stale = [name for name in store.names(FOLDER) if name.startswith(folders) and name not in wanted]
    for name in stale:
        store.delete(name)
    return len(stale)
