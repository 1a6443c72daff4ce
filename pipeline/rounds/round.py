"""A round: one plan carried out into a run. Its files say what is planned and what is done; there is no other state."""

import json
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.pack import Pack, digest, parquet_bytes
from pipeline.plan import Plan
from pipeline.rounds.unit_state import UnitState
from pipeline.storage.store import Store
from schemas.errors import InputError
from schemas.manifest import FileEntry, Receipt
from schemas.quarantine import quarantine_table
from schemas.sample import SAMPLE_SCHEMA, from_table, to_table


class AnotherPlanError(InputError):
    """The round on disk was made by another plan."""


@dataclass(frozen=True)
class Round:
    """A round of a run, opened: what workers and the driver both need to read its plan and commit its units.

    `folder` lies within the run: `rounds/000-generate`, `rounds/002-label-NAME`, `shards`.
    """

    store: Store
    folder: str
    fingerprint: str
    units: int
    items: int
    pack: Pack

    def load(self, unit: int) -> UnitState:
        """The items of one unit, as planned. `plan.parquet` has a row group a unit."""
        with self.store.open(f"{self.folder}/plan.parquet") as file:
            return UnitState(unit, from_table(pq.ParquetFile(file).read_row_group(unit)))

    def commit(self, state: UnitState) -> Receipt:
        """Write the unit's files, then its receipt."""
        packed = self.pack.files(state.unit, state.samples, self.folder)
        files = [self._put(name, data) for name, data in packed]
        if state.quarantine:
            rows = parquet_bytes(quarantine_table(state.quarantine))
            files.append(self._put(f"quarantine/unit-{state.unit:06d}.parquet", rows))
        receipt = Receipt(
            unit=state.unit,
            fingerprint=self.fingerprint,
            files=tuple(files),
            stages=tuple(state.counts),
            samples=len(state.samples),
            dropped=sum(count.dropped for count in state.counts),
            quarantined=len(state.quarantine),
            environment=environment(),
            level=state.level,
        )
        self.store.write(self._receipt_name(state.unit), receipt.to_json())
        return receipt

    def _put(self, name: str, data: bytes) -> FileEntry:
        self.store.write(f"{self.folder}/{name}", data)
        return FileEntry(name, len(data), digest(data))

    def receipt(self, unit: int) -> Receipt | None:
        """The unit's receipt if it is valid: of this plan, readable, and its files are there in full size."""
        data = self.store.read(self._receipt_name(unit))
        if data is None:
            return None
        try:
            receipt = Receipt.from_json(data)
        except (ValueError, KeyError, TypeError):
            return None
        whole = all(self.store.size(f"{self.folder}/{entry.name}") == entry.size for entry in receipt.files)
        return receipt if whole and receipt.fingerprint == self.fingerprint else None

    def receipts(self) -> Iterator[Receipt]:
        """The valid receipts, by unit."""
        for unit in range(self.units):
            receipt = self.receipt(unit)
            if receipt is not None:
                yield receipt

    def _receipt_name(self, unit: int) -> str:
        return f"{self.folder}/receipts/unit-{unit:06d}.json"


@lru_cache
def environment() -> dict[str, str]:
    """What bytes may depend on beyond the plan (level L1, DESIGN 3.3): versions and hardware."""
    packages = ("torch", "diffusers", "transformers", "numpy", "pillow", "pyarrow")
    hardware = {"machine": platform.machine(), "processor": _processor(), "cores": str(os.cpu_count())}
    return {**hardware, "python": platform.python_version()} | {package: version(package) for package in packages}


def _processor() -> str:
    """The processor's model, as the kernel names it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unnamed"


def open_round(store: Store, folder: str, plan: Plan) -> Round:
    """Write the plan, or find that the very same plan is there already.

    Raises AnotherPlanError if the round belongs to another plan, InputError if the plan holds no items.
    """
    with TemporaryDirectory(prefix="hazmat-plan-") as scratch:
        path = Path(scratch) / "plan.parquet"
        items, units, items_digest = _write_plan(plan, path)
        if items == 0:
            raise InputError("no prompts are left to plan: every row was empty, refused or a duplicate")
        card = {
            "fingerprint": plan.fingerprint(items_digest),
            "units": units,
            "items": items,
            "unit_size": plan.unit_size,
            "seed": plan.seed,
            "items_digest": items_digest,
            "stages": plan.describe(),
        }
        text = json.dumps(card, indent=1, sort_keys=True).encode()
        existing = store.read(f"{folder}/round.json")
        if existing is None:
            store.write_file(f"{folder}/plan.parquet", path)
            existing = text if store.create(f"{folder}/round.json", text) else store.read(f"{folder}/round.json")
        _refuse_another(json.loads(existing or b"{}"), card, f"{store.url}/{folder}")
    return Round(store, folder, str(card["fingerprint"]), units, items, plan.pack)


def _write_plan(plan: Plan, path: Path) -> tuple[int, int, str]:
    """Stream the items to `path`, a row group a unit. Returns items, units and the digest of all item columns."""
    hasher = blake2b(digest_size=16)
    items = units = 0
    with pq.ParquetWriter(path, SAMPLE_SCHEMA, compression="zstd", compression_level=3) as writer:
        for unit in plan.units():
            table = to_table(unit)
            writer.write_table(table, row_group_size=len(unit))
            hasher.update(_ipc_bytes(table))
            items, units = items + len(unit), units + 1
    return items, units, hasher.hexdigest()


def _ipc_bytes(table: pa.Table) -> pa.Buffer:
    """The table's columns in Arrow's own stable form, to be hashed (Parquet's would carry the writer's version)."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table.combine_chunks())
    return sink.getvalue()


def _refuse_another(found: dict[str, object], wanted: dict[str, object], where: str) -> None:
    if found.get("fingerprint") == wanted["fingerprint"]:
        return
    names = {"items_digest": "the prompts", "stages": "the stages, their settings or their weights"}
    changed = [names.get(key, key) for key in wanted if key != "fingerprint" and found.get(key) != wanted[key]]
    raise AnotherPlanError(
        f"{where} was made by another plan; what differs: {', '.join(changed) or 'its form'}. "
        "Give the command that made it, or another --out."
    )


def pending(round_: Round) -> list[int]:
    """The units without a valid receipt."""
    return [unit for unit in range(round_.units) if round_.receipt(unit) is None]


def run_digest(receipts: Sequence[Receipt]) -> str:
    """One hash over all unit files that hold data (not the quarantine, whose error texts are the machine's)."""
    lines = sorted(f"{e.name} {e.sha256}" for r in receipts for e in r.files if not e.name.startswith("quarantine/"))
    return digest("\n".join(lines).encode())
