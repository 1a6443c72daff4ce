"""What a unit becomes on disk: a USTAR tar of pictures and JSON, a Parquet file with one row a sample.

Same samples, same bytes: members are sorted by key, carry no times or owners, and Parquet is written with fixed settings.
"""

import io
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.sample import ROW_SCHEMA, Sample, to_json, to_row

ROW_GROUP = 4096  # rows; a unit is smaller, so one row group is the rule
BLOCK = tarfile.BLOCKSIZE


@dataclass(frozen=True, slots=True)
class Extent:
    """Where a picture lies in its tar: bytes [offset, offset + size)."""

    offset: int
    size: int


def pack_tar(samples: Sequence[Sample]) -> tuple[bytes, dict[str, Extent]]:
    """WebDataset members `KEY.json` and `KEY.FORMAT`, sorted; and where each picture lies."""
    buffer = io.BytesIO()
    extents: dict[str, Extent] = {}
    for sample in sorted(samples, key=lambda sample: sample.key):
        if sample.encoded is None or sample.format is None:
            raise ValueError(f"{sample.key} reached the commit without an encoded picture")
        picture = (f"{sample.key}.{sample.format}", sample.encoded)
        # "jpg" sorts before "json", "png" after it: a reader may rely on sorted members
        for name, data in sorted([picture, (f"{sample.key}.json", to_json(sample))]):
            _add_member(buffer, name, data)
            if name == picture[0]:
                extents[sample.key] = Extent(buffer.tell() - _padded(len(data)), len(data))
    buffer.write(b"\0" * (2 * BLOCK))
    return buffer.getvalue(), extents


def _add_member(buffer: io.BytesIO, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    buffer.write(member.tobuf(tarfile.USTAR_FORMAT))
    buffer.write(data)
    buffer.write(b"\0" * (_padded(len(data)) - len(data)))


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def pack_rows(samples: Sequence[Sample], extents: dict[str, Extent]) -> bytes:
    """The unit's Parquet file of `ROW_SCHEMA`, sorted by key as the tar is."""
    rows = []
    for sample in sorted(samples, key=lambda sample: sample.key):
        extent = extents[sample.key]
        rows.append({**to_row(sample), "tar_offset": extent.offset, "tar_size": extent.size})
    return parquet_bytes(pa.Table.from_pylist(rows, schema=ROW_SCHEMA))


def parquet_bytes(table: pa.Table) -> bytes:
    """A table as Parquet, with the settings that every file of a run shares."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=ROW_GROUP, compression="zstd", compression_level=3)
    return bytes(sink.getvalue())


def digest(data: bytes) -> str:
    """sha256, hex."""
    return sha256(data).hexdigest()
