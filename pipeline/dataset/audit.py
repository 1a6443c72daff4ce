"""Doubt a run: hash every committed file again, and check that rows, lineage, splits and shards say the same."""

import io
import tarfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dataset.shards import FOLDER as SHARDS
from pipeline.pack import digest
from pipeline.storage.store import Store, StoreError
from schemas.errors import HazmatError
from schemas.manifest import MEND, FileEntry, Receipt

READERS = 4
"""Files hashed at a time: sha256 leaves Python's lock, and an object store answers several at once."""
NOT_IN_DIGEST = ("quarantine/", "votes/")
"""Error texts are the machine's, and votes carry the time; both are re-hashed and neither is the data's identity."""

BESIDE = ("json",)
BESIDE_IN_SHARDS = ("cls", "json", "txt")  # shards of before 2026-11-28 have those of raw units


UNREADABLE = (
    HazmatError,
    pa.ArrowException,
    tarfile.TarError,
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
)
"""What reading a file raises that somebody else wrote."""


@dataclass(slots=True)
class Audit:
    """What was looked at, what is wrong, what is only unfinished, and the hashes that the digest is made of."""

    store: Store
    files: int = 0
    bytes: int = 0
    samples: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    owned: set[str] = field(default_factory=set)  # names that a check looks after
    root: str | None = None  # the root digest; None for a run of an older layout

    def digest(self) -> str:
        """One hash over the names and contents of all data of the run."""
        return digest("\n".join(sorted(self.hashes)).encode())

    def add(self, other: "Audit") -> None:
        """What another one found, too."""
        self.problems += other.problems
        self.notes += other.notes
        self.hashes += other.hashes
        self.owned |= other.owned
        self.files, self.bytes = self.files + other.files, self.bytes + other.bytes
        self.samples += other.samples


@dataclass(frozen=True)
class Expected:
    """What a round's receipts have to be: of its plan, and those that were sealed (None: never sealed, or being written)."""

    fingerprint: str | None
    seal: Mapping[str, str] | None


def check_units(audit: Audit, folder: str, expected: Expected) -> None:
    """The receipts of a round or of the shards are of its plan, and name files that still hash to what they say."""
    names = list(audit.store.names(f"{folder}/receipts"))
    with ThreadPoolExecutor(READERS) as pool:
        for checked in pool.map(partial(_check_unit, audit.store, folder, expected), names):
            audit.add(checked)


def _check_unit(store: Store, folder: str, expected: Expected, name: str) -> Audit:
    audit = Audit(store, owned={name})
    try:
        data = store.read(name)
        receipt = Receipt.from_json(data, name)
    except HazmatError as error:
        audit.problems.append(str(error))
        return audit
    audit.owned |= {f"{folder}/{entry.name}" for entry in receipt.files}
    if expected.fingerprint not in (None, receipt.fingerprint):
        audit.problems.append(f"{name}: belongs to plan {receipt.fingerprint}, the round's is {expected.fingerprint}")
    if expected.seal is not None and expected.seal.get(name.removeprefix(f"{folder}/")) != digest(data or b""):
        audit.problems.append(f"{name}: is not the receipt that was sealed when its unit was committed")
    try:
        _check_contents(audit, folder, receipt)
    except UNREADABLE as error:
        audit.problems.append(f"{name}: its files cannot be read ({said(error)}); {MEND}")
    return audit


def said(error: Exception) -> str:
    """The first line of an error, and no more than a line's length of it."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _check_contents(audit: Audit, folder: str, receipt: Receipt) -> None:
    contents = {entry.name: _check_file(audit, folder, entry) for entry in receipt.files}
    tables = [n for n in contents if n.endswith(".parquet") and n.removesuffix(".parquet") + ".tar" in contents]
    for table in tables:
        data, tar = contents[table], contents[table.removesuffix(".parquet") + ".tar"]
        if data is not None and tar is not None:
            audit.problems += [f"{folder}/{table}: {problem}" for problem in check_pictures(data, tar, receipt.samples)]
            audit.samples += receipt.samples if folder != SHARDS else 0


def _check_file(audit: Audit, folder: str, entry: FileEntry) -> bytes | None:
    """The file's bytes, or None with a problem noted."""
    name = f"{folder}/{entry.name}"
    try:
        data = audit.store.read(name)
    except StoreError as error:
        audit.problems.append(f"{name} cannot be read ({said(error)}); {MEND}")
        return None
    if data is None:
        audit.problems.append(f"{name}: the receipt names it, and it is not there")
        return None
    audit.files, audit.bytes = audit.files + 1, audit.bytes + len(data)
    actual = digest(data)
    if not entry.name.startswith(NOT_IN_DIGEST):
        audit.hashes.append(f"{name} {actual}")
    if actual != entry.sha256:
        audit.problems.append(f"{name}: sha256 is {actual}, the receipt says {entry.sha256}")
        return None
    return data


def check_pictures(table: bytes, tar: bytes, samples: int) -> Iterator[str]:
    """Rows and tar agree: as many as the receipt counts, each picture where its row says, with the sha256 that its row says."""
    rows = pq.read_table(
        io.BytesIO(table), columns=["key", "format", "tar_offset", "tar_size", "image_sha256"]
    ).to_pylist()
    if len(rows) != samples:
        yield f"{len(rows)} rows, the receipt counts {samples}"
    with tarfile.open(fileobj=io.BytesIO(tar)) as file:
        places = {member.name: (member.offset_data, member.size) for member in file}
    beside = BESIDE_IN_SHARDS if any(name.endswith(".cls") for name in places) else BESIDE
    wanted = {f"{row['key']}.{ending}" for row in rows for ending in (row["format"], *beside)}
    if places.keys() != wanted:
        strange = ", ".join(sorted(places.keys() ^ wanted)[:3])
        yield f"{len(rows)} rows of {1 + len(beside)} members each, but {len(places)} members in the tar: {strange}"
    for row in rows:
        start, size = row["tar_offset"], row["tar_size"]
        if places.get(f"{row['key']}.{row['format']}") != (start, size):
            yield f"{row['key']}: the tar does not hold it where the row says"
        elif digest(tar[start : start + size]) != row["image_sha256"]:
            yield f"{row['key']}: its picture is not the one its row describes"
