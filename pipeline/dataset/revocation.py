"""Take samples out of a run: the bytes, the rows, what derives from them, the shards that hold them; and keep a ledger of keys."""

import io
import tarfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.catalogue.duck import parquet, reach, scratch_database
from pipeline.catalogue.gather import GROUPS, KEEP, REVOKED, REVOKED_SCHEMA
from pipeline.catalogue.labels import LABELS
from pipeline.pack import add_member, digest, end_tar, padded, parquet_bytes, write_table
from pipeline.rounds.control_files import card, read_receipt
from pipeline.rounds.rounds import all_rounds, planned_and_committed
from pipeline.rounds.seal import NAME as SEAL
from pipeline.rounds.seal import seal_round
from pipeline.storage.store import Store
from schemas.control_file import control_json
from schemas.errors import InputError
from schemas.manifest import FileEntry, Receipt
from schemas.sample import SAMPLE_SCHEMA, upgraded

Offsets = dict[str, int]  # KEY.FORMAT → where its bytes begin in the tar


@dataclass(slots=True)
class Removal:
    """What one revocation did."""

    keys: int = 0
    units: int = 0
    files: list[str] = field(default_factory=list)
    again: dict[str, set[str]] = field(default_factory=dict)  # by round: what its seal owns and was written again


def with_descendants(store: Store, keys: Collection[str]) -> set[str]:
    """The keys and all that derives from them: children, their children, and grids that hold any of them.

    Raises InputError for a key that the run never planned or committed.
    """
    plans, rows = planned_and_committed(store)
    with scratch_database() as con:
        reach(con, store)
        con.register("asked", pa.table({"key": pa.array(sorted(keys), pa.string())}))
        con.execute(f"""
            CREATE TABLE known AS
            SELECT DISTINCT key, parent, json_extract_string(attack.parameters, '$.parents[*]') AS parents
            FROM {parquet(store, [*plans, *rows], SAMPLE_SCHEMA)}
        """)
        earlier = {row["key"] for row in ledger(store).to_pylist()}
        unknown = [row[0] for row in con.execute("SELECT key FROM asked ANTI JOIN known USING (key)").fetchall()]
        if set(unknown) - earlier:
            raise InputError(
                f"{store.url} has no sample {', '.join(sorted(set(unknown) - earlier)[:5])}: nothing was revoked"
            )
        result = con.execute("""
            WITH RECURSIVE tie AS (
                SELECT parent AS above, key AS below FROM known WHERE parent IS NOT NULL
                UNION ALL SELECT unnest(parents), key FROM known
            ), gone AS (SELECT key FROM asked UNION SELECT below FROM gone JOIN tie ON tie.above = gone.key)
            SELECT key FROM gone
        """).fetchall()
    return {str(row[0]) for row in result} | set(keys)


def ledger(store: Store) -> pa.Table:
    """The keys that were revoked so far, with time and reason; never a text or a picture."""
    data = store.read(REVOKED)
    return pq.read_table(io.BytesIO(data)) if data is not None else REVOKED_SCHEMA.empty_table()


def enter(store: Store, keys: Collection[str], reason: str) -> pa.Table:
    """Add keys to the ledger; it is written before anything is removed, so that a broken removal can be taken up again."""
    known = ledger(store)
    fresh = sorted(set(keys) - set(known["key"].to_pylist()))
    now = datetime.now(UTC).isoformat(timespec="seconds")
    rows = [{"key": key, "time": now, "reason": reason} for key in fresh]
    whole = pa.concat_tables([known, pa.Table.from_pylist(rows, schema=REVOKED_SCHEMA)])
    store.write(REVOKED, parquet_bytes(whole))
    return whole


def remove(store: Store, keys: Collection[str]) -> Removal:
    """Write every unit, plan and derived file that holds any of `keys` again without them. Idempotent."""
    gone = pa.array(sorted(keys), pa.string())
    removal = Removal(keys=len(keys))
    moved: dict[str, Offsets] = {}  # by tar
    for folder in all_rounds(store):
        removal.again[folder] = set()
        for name in list(store.names(f"{folder}/receipts")):
            receipt = read_receipt(store, name)
            changed = _changed_files(store, folder, receipt, gone, moved)
            if changed:
                _commit_again(store, folder, name, receipt, changed)
                removal.again[folder].add(name.removeprefix(f"{folder}/"))
                removal.units += 1
                removal.files += [f"{folder}/{entry}" for entry in changed]
    for folder in all_rounds(store):
        _scrub_plan(store, folder, gone, moved, removal)
    for folder, again in removal.again.items():
        if again and store.size(f"{folder}/{SEAL}") is not None:
            seal_round(store, folder, again)
            removal.files.append(f"{folder}/{SEAL}")
    for name in _with_keys(store):
        if store.size(name) is not None:
            _scrub_derived(store, name, gone, removal)
    return removal


def _with_keys(store: Store) -> list[str]:
    return [GROUPS, KEEP, LABELS, *(name for name in store.names("results") if name.endswith(".parquet"))]


def may_change(store: Store) -> list[str]:
    """What of the run's ledger a revocation may write again."""
    return [REVOKED, *_with_keys(store), *(f"{folder}/{SEAL}" for folder in all_rounds(store))]


def _without(table: pa.Table, gone: pa.Array) -> pa.Table:
    """The rows whose key is not gone. One of quarantine or refusals goes with its root or parent too."""
    mask = pc.is_in(table["key"], gone)
    for column in ("root", "parent"):
        if {"message", "refused"} & set(table.column_names):
            mask = pc.or_(mask, pc.fill_null(pc.is_in(table[column], gone), False))
    return table.filter(pc.invert(mask))


def _changed_files(
    store: Store, folder: str, receipt: Receipt, gone: pa.Array, moved: dict[str, Offsets]
) -> dict[str, bytes]:
    """The unit's files that change, with their new bytes: tars first, since the rows say where in them pictures lie."""
    changed: dict[str, bytes] = {}
    tables = [entry.name for entry in receipt.files if entry.name.endswith(".parquet")]
    for name in tables:
        data = store.read(f"{folder}/{name}")
        if data is None:
            continue
        table = pq.read_table(io.BytesIO(data))
        left = _without(table, gone)
        if len(left) == len(table):
            continue
        tar = name.removesuffix(".parquet") + ".tar"
        if any(entry.name == tar for entry in receipt.files):
            kept = set(left["key"].to_pylist())
            changed[tar], places = repack(store.read(f"{folder}/{tar}") or b"", kept)
            moved[f"{folder}/{tar}"] = places
            left = _placed(left, moved)
        changed[name] = parquet_bytes(left)
    return changed


def repack(tar: bytes, kept: Collection[str]) -> tuple[bytes, Offsets]:
    """The tar with only the members of `kept` keys, whatever their kinds; and where each begins now."""
    buffer = io.BytesIO()
    places: Offsets = {}
    with tarfile.open(fileobj=io.BytesIO(tar)) as file:
        for member in file:
            if member.name.split(".", 1)[0] in kept:
                data = tar[member.offset_data : member.offset_data + member.size]
                add_member(buffer, member.name, data)
                places[member.name] = buffer.tell() - padded(len(data))
    end_tar(buffer)
    return buffer.getvalue(), places


def _placed(table: pa.Table, moved: dict[str, Offsets]) -> pa.Table:
    """Rows of pictures with `tar_offset` as it is after the tars were packed again."""
    rows = zip(*(table[name].to_pylist() for name in ("key", "format", "tar", "tar_offset")), strict=True)
    offsets = [moved[tar][f"{key}.{form}"] if tar in moved else offset for key, form, tar, offset in rows]
    at = table.column_names.index("tar_offset")
    return table.set_column(at, table.schema.field("tar_offset"), pa.array(offsets, pa.int64()))


def _commit_again(store: Store, folder: str, name: str, receipt: Receipt, changed: dict[str, bytes]) -> None:
    """The new files, then the receipt that names them. Rows are counted anew; stages keep what they once did."""
    for file, data in changed.items():
        store.write(f"{folder}/{file}", data)
    files = [
        FileEntry(e.name, len(changed[e.name]), digest(changed[e.name])) if e.name in changed else e
        for e in receipt.files
    ]
    main = next((e.name for e in files if not e.name.startswith("quarantine/") and e.name.endswith(".parquet")), None)
    samples = receipt.samples
    if main in changed and main.startswith(("raw/", "signatures/")):
        samples = pq.read_metadata(io.BytesIO(changed[main])).num_rows
    store.write(name, replace(receipt, files=tuple(files), samples=samples).to_json())


def _scrub_plan(store: Store, folder: str, gone: pa.Array, moved: dict[str, Offsets], removal: Removal) -> None:
    """Take rows out of a plan and correct where pictures lie. A unit stays a row group, be it an empty one."""
    name = f"{folder}/plan.parquet"
    with store.open(name) as file:
        plan = pq.ParquetFile(file)
        groups = [upgraded(plan.read_row_group(unit)) for unit in range(plan.num_row_groups)]
    new = [_placed(_without(table, gone), moved) if len(table) else table for table in groups]
    if any(not old.equals(table) for old, table in zip(groups, new, strict=True)):
        write_table(store, name, SAMPLE_SCHEMA, iter(new))
        store.write(f"{folder}/round.json", control_json({**card(store, folder), "plan_sha256": store.digest(name)}))
        removal.again[folder].add("round.json")
        removal.files.append(name)


def _scrub_derived(store: Store, name: str, gone: pa.Array, removal: Removal) -> None:
    """Take rows out of a file at the run's root or of results; row groups stay as they were but for what is gone."""
    with store.open(name) as file:
        source = pq.ParquetFile(file)
        schema = source.schema_arrow
        if "key" not in schema.names:
            return
        groups = [source.read_row_group(unit) for unit in range(source.num_row_groups)]
    new = [_without(table, gone) for table in groups]
    if sum(map(len, new)) < sum(map(len, groups)):
        write_table(store, name, schema, _filled(new))
        removal.files.append(name)


def _filled(tables: list[Any]) -> Iterator[pa.Table]:
    """Those with rows: a shard of which nothing is left is no shard."""
    return (table for table in tables if len(table))
