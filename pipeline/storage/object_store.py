"""Run data on an object store (S3, GCS, Azure) through obstore: one PUT a file, conditional where it must be the first.

Credentials and endpoint come from the environment, as obstore reads them (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, …).
"""

import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError

from pipeline.storage.store import Extent, Store, StoreError

REQUESTS = 16  # at a time and worker; object stores answer in tens of milliseconds, whatever the size
READ_AHEAD = 1 << 20  # bytes: a plan's footer, or a row group's columns, in one request


@dataclass(frozen=True, slots=True)
class ObjectStore(Store):
    """A bucket, or a prefix in one."""

    address: str

    @property
    def url(self) -> str:
        """`s3://bucket/prefix`."""
        return self.address

    def write(self, name: str, data: bytes, *, durable: bool = True) -> None:
        """One PUT; an object store is always durable."""
        self._put(name, data, "overwrite")

    def create(self, name: str, data: bytes) -> bool:
        """One PUT with If-None-Match."""
        try:
            self._put(name, data, "create")
        except AlreadyExistsError:
            return False
        return True

    def write_file(self, name: str, file: Path) -> None:
        """A PUT, in parts if the file is large."""
        self._put(name, file, "overwrite")

    def _put(self, name: str, data: bytes | Path, mode: str) -> None:
        try:
            obstore.put(_client(self.address), name, data, mode=mode)
        except AlreadyExistsError:
            raise
        except (BaseError, OSError) as error:
            raise StoreError(_advice(self.address, name, error)) from error

    def read(self, name: str) -> bytes | None:
        """One GET."""
        try:
            return bytes(obstore.get(_client(self.address), name).bytes())
        except FileNotFoundError:
            return None
        except (BaseError, OSError) as error:
            raise StoreError(_advice(self.address, name, error)) from error

    def read_range(self, name: str, offset: int, size: int) -> bytes:
        """One ranged GET."""
        try:
            data = bytes(obstore.get_range(_client(self.address), name, start=offset, length=size)) if size else b""
        except (BaseError, OSError) as error:
            raise StoreError(_advice(self.address, name, error)) from error
        if len(data) != size:
            raise StoreError(f"{self.address}/{name} ends before byte {offset + size}: it was cut short")
        return data

    def read_ranges(self, ranges: Sequence[Extent]) -> list[bytes]:
        """As many GETs at a time as a store answers well: one by one each would wait for the network."""
        with ThreadPoolExecutor(REQUESTS) as pool:
            return list(pool.map(lambda extent: self.read_range(*extent), ranges))

    def open(self, name: str) -> BinaryIO:
        """The object as a file that fetches what is read of it: a worker wants one row group of a plan, not all of it."""
        size = self.size(name)
        if size is None:
            raise StoreError(_advice(self.address, name, "there is no such object"))
        return io.BufferedReader(_Ranged(self, name, size), buffer_size=READ_AHEAD)

    def size(self, name: str) -> int | None:
        """One HEAD."""
        try:
            return int(obstore.head(_client(self.address), name)["size"])
        except FileNotFoundError:
            return None
        except (BaseError, OSError) as error:
            raise StoreError(_advice(self.address, name, error)) from error

    def names(self, prefix: str) -> Iterator[str]:
        """One LIST for every thousand objects."""
        try:
            names = [str(entry["path"]) for page in obstore.list(_client(self.address), prefix) for entry in page]
        except (BaseError, OSError) as error:
            raise StoreError(_advice(self.address, prefix, error)) from error
        return iter(sorted(names))

    def delete(self, name: str) -> None:
        """One DELETE; it does not mind a name that is not there."""
        try:
            obstore.delete(_client(self.address), name)
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            raise StoreError(_advice(self.address, name, error)) from error


class _Ranged(io.RawIOBase):
    """An object as a seekable raw file: each read is a ranged GET."""

    def __init__(self, store: ObjectStore, name: str, size: int) -> None:
        self._store, self._name, self._size, self._at = store, name, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        wanted = max(0, min(len(buffer), self._size - self._at))
        buffer[:wanted] = self._store.read_range(self._name, self._at, wanted)
        self._at += wanted
        return wanted


@lru_cache
def _client(address: str) -> Any:
    """A client a process: it holds connections, so it cannot travel to a worker."""
    return obstore.store.from_url(address)


def _advice(address: str, name: str, error: object) -> str:
    return (
        f"{address}/{name}: {str(error).strip().splitlines()[0]}. Check the bucket, the credentials and the endpoint in "
        "the environment; what was committed before is whole."
    )
