"""A round: one plan carried out into a run. Its files say what is planned and what is done; there is no other state."""

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq

from pipeline.pack import Pack, digest, parquet_bytes
from pipeline.plan import Plan
from pipeline.rounds.control_files import card, read_receipt
from pipeline.rounds.plan_file import REVOKED, TornPlanError, check_plan, plan_digest, put_back, write_plan
from pipeline.rounds.unit_state import UnitState
from pipeline.stage import Stage
from pipeline.storage.store import Store
from schemas.control_file import ControlFileError, control_json
from schemas.errors import InputError
from schemas.manifest import FileEntry, Receipt
from schemas.quarantine import quarantine_table
from schemas.refusal import refused_table
from schemas.sample import from_table


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
        if state.refused:
            rows = parquet_bytes(refused_table(state.refused))
            files.append(self._put(f"refused/unit-{state.unit:06d}.parquet", rows))
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
            refused=len(state.refused),
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
        except ControlFileError:
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
    """Write the plan, or find that the very same plan is there already; a plan or card that was lost is written again.

    Raises AnotherPlanError if the round belongs to another plan, InputError if the plan holds no items, ControlFileError if
    somebody put another round's plan in this one's place.
    """
    with TemporaryDirectory(prefix="hazmat-plan-") as scratch:
        path = Path(scratch) / "plan.parquet"
        items, units, items_digest = write_plan(plan, path)
        if items == 0:
            raise InputError("no prompts are left to plan: every row was empty, refused or a duplicate")
        wanted = {
            "fingerprint": plan.fingerprint(items_digest),
            "units": units,
            "items": items,
            "unit_size": plan.unit_size,
            "seed": plan.seed,
            "items_digest": items_digest,
            "stages": plan.describe(),
            "plan_sha256": plan_digest(path),
        }
        existing = _card_on_disk(store, folder, str(wanted["fingerprint"]))
        if existing is None:
            store.write_file(f"{folder}/plan.parquet", path)
            text = control_json(wanted)
            if not store.create(f"{folder}/round.json", text):
                existing = _card_on_disk(store, folder, str(wanted["fingerprint"]))
        existing = existing or wanted
        _refuse_another(existing, wanted, f"{store.url}/{folder}")
        _mend_plan(store, folder, existing, path)
    return Round(store, folder, str(wanted["fingerprint"]), units, items, plan.pack)


def as_begun(store: Store, folder: str, plan: Plan) -> Plan:
    """The plan with units and batches as large as those of the round that was begun of it, if there is one.

    Earlier versions cut otherwise, and so do machines with and without accelerators.
    """
    with suppress(ControlFileError):
        begun = card(store, folder)
        if begun is not None:
            stages = stages_as_begun(plan.stages, begun["stages"])
            return replace(plan, stages=stages, unit_size=int(begun["unit_size"]))
    return plan


def stages_as_begun(stages: tuple[Stage, ...], recorded: Sequence[Mapping[str, str]]) -> tuple[Stage, ...]:
    """The stages with the batch sizes that a round.json has of them; as they are where it is of other stages."""
    if [stage.name for stage in stages] != [one.get("stage") for one in recorded]:
        return stages
    sizes = [int(one["batch_size"]) for one in recorded]
    same = all(stage.batch_size == size for stage, size in zip(stages, sizes, strict=True))
    return stages if same else tuple(replace(one, batch_size=size) for one, size in zip(stages, sizes, strict=True))


def _card_on_disk(store: Store, folder: str, fingerprint: str) -> dict[str, Any] | None:
    """`round.json`, or None. A damaged one goes if the round's receipts are of the plan `fingerprint`, or there are none."""
    try:
        return card(store, folder)
    except ControlFileError:
        if store.size(f"{folder}/round.json") is None:
            return None
        others = [
            name for name in store.names(f"{folder}/receipts") if _plan_of(store, name) not in (None, fingerprint)
        ]
        if others:
            raise
        store.delete(f"{folder}/round.json")
        return None


def _plan_of(store: Store, receipt: str) -> str | None:
    with suppress(ControlFileError):
        return read_receipt(store, receipt).fingerprint
    return None


def _mend_plan(store: Store, folder: str, known: Mapping[str, Any], replanned: Path) -> None:
    """Put a lost or torn plan back from `replanned`, which is of the same items; refuse one of other items."""
    name = f"{folder}/plan.parquet"
    if store.size(name) is None:
        put_back(store, name, replanned)
        return
    if "plan_sha256" not in known and store.size(REVOKED) is not None:
        return  # a round of before; a revocation may have made its plan shorter
    try:
        check_plan(store, folder, known, replanned)
    except TornPlanError:
        put_back(store, name, replanned)


def _refuse_another(recorded: Mapping[str, Any], wanted: Mapping[str, Any], where: str) -> None:
    if recorded.get("fingerprint") == wanted["fingerprint"]:
        return
    names = {"items_digest": "the prompts", "stages": "the stages, their settings or their weights"}
    form = ("fingerprint", "plan_sha256")
    changed = [names.get(key, key) for key in wanted if key not in form and recorded.get(key) != wanted[key]]
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
