"""Doubt a run: hash every committed file again, and check that rows, lineage, splits and shards say the same."""

import io
import json
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pyarrow.parquet as pq

from pipeline.catalogue.gather import GROUPS, KEEP
from pipeline.dataset.shards import FOLDER as SHARDS
from pipeline.dataset.shards import MANIFEST, keep_rows
from pipeline.pack import digest
from pipeline.rounds.rounds import all_rounds, card
from pipeline.storage.store import Store
from schemas.errors import HazmatError
from schemas.manifest import FileEntry, Receipt

READERS = 4
"""Files hashed at a time: sha256 leaves Python's lock, and an object store answers several at once."""
NOT_IN_DIGEST = ("quarantine/", "votes/")
"""Error texts are the machine's, and votes carry the time; both are re-hashed and neither is the data's identity."""


@dataclass(slots=True)
class Audit:
    """What was looked at, what is wrong, and the hashes that the digest is made of."""

    store: Store
    files: int = 0
    bytes: int = 0
    samples: int = 0
    problems: list[str] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)

    def digest(self) -> str:
        """One hash over the names and contents of all data of the run."""
        return digest("\n".join(sorted(self.hashes)).encode())


def check_rounds(audit: Audit) -> None:
    """Every round and the shards: receipts are of their plan, complete, and name files that still hash to what they say."""
    folders = [*all_rounds(audit.store), *([SHARDS] if audit.store.size(f"{SHARDS}/round.json") is not None else [])]
    with ThreadPoolExecutor(READERS) as pool:
        for folder in folders:
            known = card(audit.store, folder)
            names = list(audit.store.names(f"{folder}/receipts"))
            if len(names) != known["units"]:
                audit.problems.append(f"{folder}: {len(names)} of {known['units']} units are committed")
            for found in pool.map(partial(_check_unit, audit.store, folder, str(known["fingerprint"])), names):
                audit.problems += found.problems
                audit.hashes += found.hashes
                audit.files, audit.bytes = audit.files + found.files, audit.bytes + found.bytes
                audit.samples += found.samples


def _check_unit(store: Store, folder: str, fingerprint: str, name: str) -> Audit:
    audit = Audit(store)
    try:
        receipt = Receipt.from_json(store.read(name) or b"")
    except (ValueError, KeyError, TypeError) as error:
        audit.problems.append(f"{name}: not a receipt ({error})")
        return audit
    if receipt.fingerprint != fingerprint:
        audit.problems.append(f"{name}: belongs to plan {receipt.fingerprint}, the round's is {fingerprint}")
    contents = {entry.name: _check_file(audit, folder, entry) for entry in receipt.files}
    tables = [n for n in contents if n.endswith(".parquet") and n.removesuffix(".parquet") + ".tar" in contents]
    for table in tables:
        data, tar = contents[table], contents[table.removesuffix(".parquet") + ".tar"]
        if data is not None and tar is not None:
            audit.problems += [f"{folder}/{table}: {problem}" for problem in check_pictures(data, tar, receipt.samples)]
            audit.samples += receipt.samples if folder != SHARDS else 0
    return audit


def _check_file(audit: Audit, folder: str, entry: FileEntry) -> bytes | None:
    """The file's bytes, or None with a problem noted."""
    name = f"{folder}/{entry.name}"
    data = audit.store.read(name)
    if data is None:
        audit.problems.append(f"{name}: the receipt names it, and it is not there")
        return None
    audit.files, audit.bytes = audit.files + 1, audit.bytes + len(data)
    found = digest(data)
    if not entry.name.startswith(NOT_IN_DIGEST):
        audit.hashes.append(f"{name} {found}")
    if found != entry.sha256:
        audit.problems.append(f"{name}: sha256 is {found}, the receipt says {entry.sha256}")
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
    if len(places) != 2 * len(rows):
        yield f"{len(rows)} rows, but {len(places)} members in the tar"
    for row in rows:
        start, size = row["tar_offset"], row["tar_size"]
        if places.get(f"{row['key']}.{row['format']}") != (start, size):
            yield f"{row['key']}: the tar does not hold it where the row says"
        elif digest(tar[start : start + size]) != row["image_sha256"]:
            yield f"{row['key']}: its picture is not the one its row describes"


def check_shards(audit: Audit) -> None:
    """Manifest, keep-list and shards name the same files and the same samples."""
    store = audit.store
    for name in (GROUPS, KEEP):
        data = store.read(name)
        if data is not None:
            audit.hashes.append(f"{name} {digest(data)}")
    text = store.read(MANIFEST)
    if text is None:
        if store.size(f"{SHARDS}/round.json") is not None:
            audit.problems.append(f"{MANIFEST} is not there: the shards are unfinished")
        return
    try:
        manifest: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise HazmatError(f"{store.url}/{MANIFEST} is torn: {error}") from error
    if manifest["keep"] != digest(store.read(KEEP) or b""):
        audit.problems.append(f"{MANIFEST}: made from another {KEEP}; run jobs/shards.py again")
        return
    receipts = {entry.name: entry.sha256 for entry in _shard_entries(store)}
    for unit, shard in enumerate(manifest["shards"]):
        for entry in shard["files"]:
            if receipts.get(entry["name"]) != entry["sha256"]:
                audit.problems.append(f"{MANIFEST}: {entry['name']} has another sha256 in its receipt")
        name = f"{SHARDS}/{shard['split']}/{shard['shard']:06d}.parquet"
        if store.size(name) is None:  # said already, by its receipt
            continue
        with store.open(name) as file:
            found = pq.ParquetFile(file).read(columns=["key", "split", "group"])
        if not found.equals(keep_rows(store, unit).select(["key", "split", "group"]).replace_schema_metadata(None)):
            audit.problems.append(f"{name}: does not hold the samples that {KEEP} wants in it")


def _shard_entries(store: Store) -> Iterator[FileEntry]:
    for name in store.names(f"{SHARDS}/receipts"):
        yield from Receipt.from_json(store.read(name) or b"").files
