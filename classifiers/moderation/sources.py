"""What is to be moderated: the pictures of a folder, of tar shards, or of a run, as places that can be read one by one."""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.catalogue.gather import committed
from pipeline.rounds.existing_run import existing_run
from pipeline.storage.open_store import open_store
from pipeline.storage.store import OBJECT_SCHEMES, Store
from schemas.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True, slots=True)
class Item:
    """One picture file: `size` bytes at `offset` of a file of the store; `key` names it in the answers."""

    key: str
    file: str
    offset: int
    size: int


@dataclass(frozen=True)
class Source:
    """Where the pictures lie, and which there are, in a fixed order."""

    store: Store
    items: tuple[Item, ...]

    def read(self, item: Item) -> bytes:
        """The picture file's bytes."""
        return self.store.read_range(item.file, item.offset, item.size)

    def digest(self) -> str:
        """blake2b over names, places and sizes: other pictures are another question."""
        hasher = blake2b(digest_size=16)
        for item in self.items:
            hasher.update(f"{item.key}\0{item.file}\0{item.offset}\0{item.size}\n".encode())
        return hasher.hexdigest()


def source_of(images: str) -> Source:
    """A run (it has a run.json), a folder with tars below it, one tar, or a folder of pictures. Raises InputError for nothing."""
    if images.startswith(OBJECT_SCHEMES) or (Path(images) / "run.json").is_file():
        store, _ = existing_run(images)
        found = list(_of_run(store))
    elif Path(images).is_file() and images.endswith(".tar"):
        store = open_store(str(Path(images).parent.resolve()))
        found = list(_of_tar(Path(images), Path(images).name))
    elif Path(images).is_dir():
        folder = Path(images).resolve()
        store = open_store(str(folder))
        tars = sorted(folder.rglob("*.tar"))
        found = [item for tar in tars for item in _of_tar(tar, tar.relative_to(folder).as_posix())]
        found = found if tars else list(_of_folder(folder))
    else:
        raise InputError(f"{images}: there is no such folder or .tar; give pictures, tar shards or a run")
    if not found:
        raise InputError(f"{images}: no pictures here; expected files ending in {', '.join(SUFFIXES)}, tars or a run")
    return Source(store, tuple(found))


def _of_folder(folder: Path) -> Iterator[Item]:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            name = path.relative_to(folder).as_posix()
            yield Item(name, name, 0, path.stat().st_size)


def _of_tar(tar: Path, name: str) -> Iterator[Item]:
    """Pictures in a tar, by their place: nothing is unpacked. Raises InputError for what is no tar."""
    try:
        with tarfile.open(tar, "r:") as members:
            for member in members:
                if member.isfile() and member.name.lower().endswith(SUFFIXES):
                    yield Item(f"{name}/{member.name}", name, member.offset_data, member.size)
    except tarfile.TarError as error:
        raise InputError(f"{tar}: no tar that can be read ({error})") from error


def _of_run(store: Store) -> Iterator[Item]:
    """Every committed picture, by the sample's key."""
    for name in committed(store, "raw"):
        with store.open(name) as file:
            table = pq.ParquetFile(file).read(columns=["key", "tar", "tar_offset", "tar_size"])
        for row in table.to_pylist():
            if row["tar"] is not None:
                yield Item(row["key"], row["tar"], row["tar_offset"], row["tar_size"])
