"""The quarantine table: one row for each sample that a stage could not take, with the reason."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class QuarantineRow:
    """One sample's failure. `how`: raised (an exception), killed (it ended its process) or invalid (its output was refused)."""

    key: str
    root: str
    parent: str | None
    prompt: str
    generation_prompt: str
    unit: int
    stage: str
    how: str
    error: str
    message: str
    attempt: int


QUARANTINE_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("root", pa.string()),
        ("parent", pa.string()),
        ("prompt", pa.string()),
        ("generation_prompt", pa.string()),
        ("unit", pa.int64()),
        ("stage", pa.string()),
        ("how", pa.string()),
        ("error", pa.string()),
        ("message", pa.string()),
        ("attempt", pa.int32()),
    ]
)


def quarantine_table(rows: Iterable[QuarantineRow]) -> pa.Table:
    """Rows as an Arrow table of `QUARANTINE_SCHEMA`."""
    return pa.Table.from_pylist([asdict(row) for row in rows], schema=QUARANTINE_SCHEMA)
