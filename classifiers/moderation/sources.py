"""What is to be moderated: every picture below a folder, in tars or in a run, as places that can be read one by one.

Whatever is under the given path is an item (judged, or unreadable with its reason) or passed over with a reason: nothing is left
out in silence.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b, sha256
from pathlib import Path

import pyarrow.parquet as pq

from classifiers.moderation.folder_walk import Entry, files_below
from classifiers.moderation.triage import HEAD, PASSED, PICTURE, PROBLEM, TAR, triage
from pipeline.catalogue.gather import committed
from pipeline.rounds.existing_run import existing_run
from pipeline.storage.file_names import written_name
from pipeline.storage.image_codec import MAX_BYTES, SUFFIXES, PictureError
from pipeline.storage.local_store import LocalStore
from pipeline.storage.store import OBJECT_SCHEMES, Store, StoreError
from pipeline.storage.tar_members import Member, members
from schemas.errors import InputError


@dataclass(frozen=True, slots=True)
class Item:
    """One picture file: `size` bytes at `offset` of a file of the store; `key` names it in the answers, and `sha256` is of its
    bytes. `problem`: why it is known already that it cannot be read. `prompt`: of a pair.
    """

    key: str
    file: str
    offset: int = 0
    size: int = 0
    sha256: str = ""
    problem: str | None = None
    prompt: str | None = None


@dataclass(frozen=True, slots=True)
class PassedOver:
    """What there is and is not judged, and why."""

    key: str
    reason: str


@dataclass(frozen=True)
class PictureSource:
    """Where the pictures lie, and which there are, in a fixed order."""

    store: Store
    items: tuple[Item, ...]
    passed: tuple[PassedOver, ...] = ()

    def read(self, item: Item) -> bytes:
        """The picture file's bytes. Raises PictureError for what is unreadable, or changed since the source was made."""
        if item.problem is not None:
            raise PictureError(item.problem)
        data = self.store.read_range(item.file, item.offset, item.size)
        if sha256(data).hexdigest() != item.sha256:
            raise PictureError("its bytes are not those that were there at the beginning: it was changed meanwhile")
        return data

    def digest(self) -> str:
        """blake2b over names, contents and prompts: other pictures are another question, also under an equal name and size."""
        hasher = blake2b(digest_size=16)
        for item in self.items:
            prompt = "" if item.prompt is None else f"\0{item.prompt}"
            hasher.update(f"{item.key}\0{item.sha256}\0{item.problem or ''}{prompt}\n".encode())
        return hasher.hexdigest()

    def reasons(self) -> dict[str, int]:
        """How many were passed over, by reason."""
        return dict(Counter(passed.reason for passed in self.passed).most_common())


def source_of(images: str) -> PictureSource:
    """A run (it has a run.json), a folder of pictures and tars, one tar, or one picture. Raises InputError for nothing."""
    path = Path(images)
    store: Store
    if images.startswith(OBJECT_SCHEMES) or (path / "run.json").is_file():
        store, _ = existing_run(images)
        pictures = list(_of_run(store))
    elif path.is_dir():
        store = LocalStore(path.resolve(), follow_links=True)
        pictures = found_in_entries(store, files_below(path.resolve()))
    elif path.is_file():
        store = LocalStore(path.parent.resolve(), follow_links=True)
        pictures = found_in_entries(store, [Entry(path.name)])
    else:
        raise InputError(f"{written_name(images)}: there is no such folder or file; give pictures, tar shards or a run")
    items = tuple(each for each in pictures if isinstance(each, Item))
    passed = tuple(each for each in pictures if isinstance(each, PassedOver))
    if path.is_file() and items and all(item.problem is not None for item in items):
        raise InputError(f"{written_name(images)}: no picture or tar that can be read ({items[0].problem})")
    if not items:
        raise InputError(
            f"{written_name(images)}: no pictures here ({len(passed)} files passed over); expected files ending in "
            f"{', '.join(SUFFIXES)}, tars or a run"
        )
    return PictureSource(store, items, passed)


Found = Item | PassedOver


def found_in_entries(store: Store, entries: Iterable[Entry]) -> list[Found]:
    """The pictures in files and tars, and what there is besides; keys are the names as text."""
    return numbered(each for entry in entries for each in _of_entry(store, entry))


def numbered(all_of_them: Iterable[Found]) -> list[Found]:
    """The same with keys that differ: of several of one name, which only tars can have, the second is NAME#2."""
    pictures: list[Found] = []
    times: Counter[str] = Counter()
    for each in all_of_them:
        times[each.key] += 1
        count = times[each.key]
        pictures.append(each if count == 1 else replace(each, key=f"{each.key}#{count}"))
    return pictures


def _of_entry(store: Store, entry: Entry) -> Iterator[Found]:
    key, name = written_name(entry.name), entry.name
    if entry.passed is not None:
        yield PassedOver(key, entry.passed)
    elif entry.problem is not None:
        yield Item(key, name, problem=entry.problem)
    else:
        try:
            size = store.size(name) or 0
            head = store.read_range(name, 0, min(size, HEAD))
            if triage(name, head).kind == TAR:
                yield from _of_tar(store, name)
            else:
                yield _judgeable(store, Item(key, name, 0, size), name, head)
        except (StoreError, OSError) as error:
            yield Item(key, name, problem=f"the file cannot be read ({error.__cause__ or error})")


def _of_tar(store: Store, name: str) -> Iterator[Found]:
    """What is in a tar, by its place: nothing is unpacked."""
    archive = written_name(name)
    with store.open(name) as file:
        entries = list(members(file))
    for member in entries:
        key = f"{archive}/{written_name(member.name)}" if member.name else _unnamed(archive, member)
        item = Item(key, name, member.offset, member.size)
        if member.passed is not None:
            yield PassedOver(key, member.passed)
        elif member.problem is not None:
            yield replace(item, problem=member.problem)
        else:
            head = store.read_range(name, member.offset, min(member.size, HEAD))
            yield _judgeable(store, item, member.name, head)


def _unnamed(archive: str, member: Member) -> str:
    return f"{archive}@{member.offset}" if member.size else archive


def _judgeable(store: Store, item: Item, name: str, head: bytes) -> Found:
    """The item with its digest, or why it is none."""
    verdict = triage(name, head)
    if verdict.kind == PASSED:
        return PassedOver(item.key, verdict.reason or "")
    if verdict.kind == PICTURE and item.size <= MAX_BYTES:
        return replace(item, sha256=sha256(store.read_range(item.file, item.offset, item.size)).hexdigest())
    reasons = {
        PROBLEM: verdict.reason,
        TAR: "an archive within an archive; unpack it",
        PICTURE: f"the file has {item.size} bytes, more than {MAX_BYTES}",
    }
    return replace(item, problem=reasons[verdict.kind])


def _of_run(store: Store) -> Iterator[Found]:
    """Every committed picture, by the sample's key."""
    for name in committed(store, "raw"):
        with store.open(name) as file:
            table = pq.ParquetFile(file).read(columns=["key", "tar", "tar_offset", "tar_size", "image_sha256"])
        for row in table.to_pylist():
            if row["tar"] is not None:
                yield Item(row["key"], row["tar"], row["tar_offset"], row["tar_size"], row["image_sha256"])
            else:
                yield PassedOver(row["key"], "a row of the run that has no picture")
