"""`plan.parquet`: the items of a round, a row group a unit. It belongs to its round by digest."""

from collections.abc import Mapping
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.pack import write_table
from pipeline.plan import Plan
from pipeline.storage.store import Store
from schemas.control_file import ControlFileError
from schemas.sample import GENERATION, READING, RENAMED, SAMPLE_SCHEMA, to_table

REVOKED = "revoked.parquet"
"""The ledger of keys that were taken out of the run: no plan may bring their prompts back."""


class TornPlanError(ControlFileError):
    """The plan cannot be read at all."""


def write_plan(plan: Plan, path: Path) -> tuple[int, int, str]:
    """Stream the items to `path`. Returns items, units and the digest of all item columns."""
    hasher = blake2b(digest_size=16)
    items = units = 0
    with pq.ParquetWriter(path, SAMPLE_SCHEMA, compression="zstd", compression_level=3) as writer:
        for unit in plan.units():
            table = to_table(unit)
            writer.write_table(table, row_group_size=len(unit))
            hasher.update(_ipc_bytes(_as_first_stored(table)))
            items, units = items + len(unit), units + 1
    return items, units, hasher.hexdigest()


def plan_digest(path: Path) -> str:
    """sha256 of the file's bytes."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def put_back(store: Store, name: str, replanned: Path) -> None:
    """Write a plan that was lost under its name, without what was revoked since."""
    if store.size(REVOKED) is None:
        store.write_file(name, replanned)
        return
    with store.open(REVOKED) as file:
        revoked = pq.read_table(file, columns=["key"])["key"].combine_chunks()
    plan = pq.ParquetFile(replanned)
    parts = (plan.read_row_group(unit) for unit in range(plan.num_row_groups))
    left = (part.filter(pc.invert(pc.is_in(part["key"], value_set=revoked))) for part in parts)
    write_table(store, name, SAMPLE_SCHEMA, left)


def check_plan(store: Store, folder: str, card: Mapping[str, Any], replanned: Path | None = None) -> None:
    """Whether the round's plan is the one that its `round.json` names.

    A card of before names no digest: then by how many items and units it holds, and by their keys, against
    `replanned`, the plan made again.
    Raises TornPlanError if it cannot be read, ControlFileError if it is of other items.
    """
    where = f"{store.url}/{folder}/plan.parquet"
    actual = store.digest(f"{folder}/plan.parquet")
    if actual is None:
        raise TornPlanError(f"{where} is not there; {_mend(where)}")
    if actual == card.get("plan_sha256"):
        return
    try:
        with store.open(f"{folder}/plan.parquet") as file:
            plan = pq.ParquetFile(file)
            keys = plan.read(columns=["key"])
            same = "plan_sha256" not in card and (plan.num_row_groups, len(keys)) == (card["units"], card["items"])
    except (pa.ArrowException, OSError, ValueError) as error:
        raise TornPlanError(f"{where} is torn ({str(error).splitlines()[0][:120]}); {_mend(where)}") from error
    if not same or (replanned is not None and not keys.equals(pq.read_table(replanned, columns=["key"]))):
        raise ControlFileError(
            f"{where} is damaged, or the plan of another round: its items are others; {_mend(where)}"
        )


def _mend(where: str) -> str:
    return f"delete {where}, if it is there, and the command that made this round, given again, writes it anew"


def _as_first_stored(table: pa.Table) -> pa.Table:
    """The columns as the first runs named them, without later ones that hold nothing: a run of then is resumed, not refused."""
    later = [name for name in (*READING, *GENERATION) if table[name].null_count == len(table)]
    first = {now: then for then, now in RENAMED.items()}
    table = table.drop_columns(later)
    return table.rename_columns([first.get(name, name) for name in table.column_names])


def _ipc_bytes(table: pa.Table) -> pa.Buffer:
    """The table's columns in Arrow's own stable form, to be hashed (Parquet's would carry the writer's version)."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table.combine_chunks())
    return sink.getvalue()
