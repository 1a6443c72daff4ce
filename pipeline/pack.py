"""What a unit becomes on disk. `PackPictures`: a USTAR tar of pictures and JSON, a Parquet file with one row a sample, and votes.

Same samples, same bytes: members are sorted by key, carry no times or owners, and Parquet is written with fixed settings.
"""

import io
import tarfile
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.storage.store import Store
from schemas.sample import Sample, to_json, to_table
from schemas.vote import votes_table

ROW_GROUP = 4096  # rows; a unit is smaller, so one row group is the rule
BLOCK = tarfile.BLOCKSIZE
_EMPTY_HEADER = tarfile.TarInfo("").tobuf(tarfile.USTAR_FORMAT)


@dataclass(frozen=True)
class Pack(ABC):
    """How a finished unit becomes files. Frozen and picklable, like a stage; its settings are part of the fingerprint."""

    needs: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def files(self, unit: int, samples: Sequence[Sample], folder: str) -> Iterator[tuple[str, bytes]]:
        """The unit's files as (name within the round, bytes); `folder` is the round's own within the run."""


@dataclass(frozen=True)
class PackPictures(Pack):
    """`raw/unit-000123.tar`, `raw/unit-000123.parquet` and, if any labeller ran, `votes/unit-000123.parquet`."""

    needs: ClassVar[frozenset[str]] = frozenset({"encoded", "format"})

    def files(self, unit: int, samples: Sequence[Sample], folder: str) -> Iterator[tuple[str, bytes]]:
        """The tar first, then the rows that say where in it each picture lies."""
        name = f"raw/unit-{unit:06d}.tar"
        tar, extents = pack_tar(samples)
        yield name, tar
        yield f"raw/unit-{unit:06d}.parquet", pack_rows(samples, f"{folder}/{name}", extents)
        if any(sample.votes for sample in samples):
            yield votes_name(unit), pack_votes(samples, folder)


@dataclass(frozen=True)
class PackVotes(Pack):
    """`votes/unit-000123.parquet`: what a label round adds to samples that are committed already.

    `began` (UTC) is the time of every vote that has none. It is kept out of the fingerprint: a resumed round keeps its time.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"votes"})
    began: datetime | None = field(default=None, repr=False)

    def files(self, unit: int, samples: Sequence[Sample], folder: str) -> Iterator[tuple[str, bytes]]:
        """One file."""
        yield votes_name(unit), pack_votes(samples, folder, self.began)


def votes_name(unit: int) -> str:
    """The name of a unit's votes within its round."""
    return f"votes/unit-{unit:06d}.parquet"


def pack_votes(samples: Sequence[Sample], folder: str, began: datetime | None = None) -> bytes:
    """One row a vote, by the samples' keys and then as cast."""
    ordered = sorted(samples, key=lambda sample: sample.key)
    cast = (replace(vote, round=folder, time=vote.time or began) for sample in ordered for vote in sample.votes)
    return parquet_bytes(votes_table(cast))


@dataclass(frozen=True, slots=True)
class Extent:
    """Where a picture lies in its tar: bytes [offset, offset + size)."""

    offset: int
    size: int


Members = dict[str, bytes]
"""What lies beside a picture in a tar, by the ending of its name."""


def json_alone(sample: Sample) -> Members:
    """The lean layout of raw units: what is known of the sample, and nothing twice."""
    return {"json": to_json(sample)}


def pack_tar(
    samples: Sequence[Sample], beside: Callable[[Sample], Members] = json_alone
) -> tuple[bytes, dict[str, Extent]]:
    """WebDataset members `KEY.FORMAT` and what `beside` gives (`KEY.json`, …), sorted; and where each picture lies."""
    buffer = io.BytesIO()
    extents: dict[str, Extent] = {}
    for sample in sorted(samples, key=lambda sample: sample.key):
        if sample.encoded is None or sample.format is None:
            raise ValueError(f"{sample.key} reached the commit without an encoded picture")
        # "jpg" sorts before "json", "png" after it: a reader may rely on sorted members
        for ending, data in sorted({**beside(sample), sample.format: sample.encoded}.items()):
            add_member(buffer, f"{sample.key}.{ending}", data)
            if ending == sample.format:
                extents[sample.key] = Extent(buffer.tell() - padded(len(data)), len(data))
    end_tar(buffer)
    return buffer.getvalue(), extents


def add_member(buffer: io.BytesIO, name: str, data: bytes) -> None:
    """Append a USTAR member without time or owner."""
    buffer.write(_header(name, len(data)))
    buffer.write(data)
    buffer.write(b"\0" * (padded(len(data)) - len(data)))


def _header(name: str, size: int) -> bytes:
    """The 512 bytes that `tarfile` would write (POSIX 1003.1-1990, 10.1.1), in a tenth of its time: two for every pair."""
    path = name.encode()
    if len(path) > 100 or size >= 8**11:
        member = tarfile.TarInfo(name)
        member.size = size
        return member.tobuf(tarfile.USTAR_FORMAT)
    header = bytearray(_EMPTY_HEADER)
    header[: len(path)] = path
    header[124:135] = b"%011o" % size
    header[148:155] = b"%06o\0" % (sum(header[:148]) + sum(header[156:]) + 8 * ord(" "))
    return bytes(header)


def end_tar(buffer: io.BytesIO) -> None:
    """Two empty blocks end a tar."""
    buffer.write(b"\0" * (2 * BLOCK))


def padded(size: int) -> int:
    """A size rounded up to whole blocks."""
    return -(-size // BLOCK) * BLOCK


def pack_rows(samples: Sequence[Sample], tar: str, extents: dict[str, Extent]) -> bytes:
    """The placed rows as Parquet."""
    return parquet_bytes(placed_rows(samples, tar, extents))


def placed_rows(samples: Sequence[Sample], tar: str, extents: dict[str, Extent]) -> pa.Table:
    """One row a sample, sorted by key as the tar is; `tar` is its name within the run."""
    ordered = sorted(samples, key=lambda sample: sample.key)
    placed = [(sample, extents[sample.key]) for sample in ordered]
    return to_table(s.with_(tar=tar, tar_offset=e.offset, tar_size=e.size) for s, e in placed)


def parquet_bytes(table: pa.Table) -> bytes:
    """A table as Parquet, with the settings that every file of a run shares."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=ROW_GROUP, compression="zstd", compression_level=3)
    return bytes(sink.getvalue())


def digest(data: bytes) -> str:
    """sha256, hex."""
    return sha256(data).hexdigest()


def write_table(store: Store, name: str, schema: pa.Schema, tables: Iterator[pa.Table]) -> None:
    """Stream tables into one Parquet file of the run, a row group each."""
    with tempfile.TemporaryDirectory(prefix="hazmat-derived-") as folder:
        path = Path(folder) / "table.parquet"
        with pq.ParquetWriter(path, schema, compression="zstd", compression_level=3) as writer:
            for table in tables:
                wanted = (
                    table.select(schema.names).cast(schema.remove_metadata()).replace_schema_metadata(schema.metadata)
                )
                writer.write_table(wanted, row_group_size=max(1, len(table)))
        store.write_file(name, path)
