"""The one door for run data: names in, bytes out, on a local disk or an object store.

Every write is whole or absent: a temporary name and an atomic rename on disk, a single PUT on an object store.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from schemas.errors import HazmatError

OBJECT_SCHEMES = ("s3://", "gs://", "az://")
PIECE = 1 << 22  # bytes hashed at a time


Extent = tuple[str, int, int]
"""Name, offset and size of a range of bytes."""


class StoreError(HazmatError):
    """The disk or the object store would not take or give something."""


class Store(ABC):
    """A flat name space of files below one root; names use `/` and never leave the root."""

    @property
    @abstractmethod
    def url(self) -> str:
        """Where this store is, as `open_store` takes it."""

    @abstractmethod
    def write(self, name: str, data: bytes, *, durable: bool = True) -> None:
        """Put `data` under `name`, replacing what was there. `durable=False`: need not survive a crash of the machine."""

    @abstractmethod
    def create(self, name: str, data: bytes) -> bool:
        """Put `data` under `name` unless something is there; whether it was put. One conditional PUT on an object store."""

    @abstractmethod
    def write_file(self, name: str, file: Path) -> None:
        """Put a local file's bytes under `name` without holding them in memory."""

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """The bytes under `name`, or None."""

    @abstractmethod
    def read_range(self, name: str, offset: int, size: int) -> bytes:
        """Bytes [offset, offset + size) of `name`. Raises StoreError if they are not there."""

    def read_ranges(self, ranges: Sequence[Extent]) -> list[bytes]:
        """Many ranges of many files, in the order asked for."""
        return [self.read_range(*extent) for extent in ranges]

    @abstractmethod
    def open(self, name: str) -> BinaryIO:
        """The bytes under `name` as a seekable file. Raises StoreError if nothing is there."""

    @abstractmethod
    def size(self, name: str) -> int | None:
        """Bytes under `name`, or None."""

    @abstractmethod
    def names(self, prefix: str) -> Iterator[str]:
        """All names that begin with the folder `prefix`, sorted."""

    def digest(self, name: str) -> str | None:
        """sha256 of the bytes under `name`, read in pieces, or None where nothing is."""
        if self.size(name) is None:
            return None
        hasher = sha256()
        with self.open(name) as file:
            while piece := file.read(PIECE):
                hasher.update(piece)
        return hasher.hexdigest()

    def links(self) -> Iterator[str]:
        """Names that are links to somewhere else; an object store has none."""
        return iter(())

    @abstractmethod
    def delete(self, name: str) -> None:
        """Remove `name` if it is there."""
