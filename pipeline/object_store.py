"""Run data on an object store (S3, GCS, Azure) through obstore: one PUT a file, conditional where it must be the first.

Credentials and endpoint come from the environment, as obstore reads them (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, …).
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError

from pipeline.store import Store, StoreError


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
            return bytes(obstore.get_range(_client(self.address), name, start=offset, length=size))
        except (BaseError, OSError) as error:
            raise StoreError(_advice(self.address, name, error)) from error

    def open(self, name: str) -> BinaryIO:
        """The object's bytes as a file; read whole, since what is opened so is small or read to its end."""
        data = self.read(name)
        if data is None:
            raise StoreError(_advice(self.address, name, "there is no such object"))
        return io.BytesIO(data)

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
            found = [str(entry["path"]) for page in obstore.list(_client(self.address), prefix) for entry in page]
        except (BaseError, OSError) as error:
            raise StoreError(_advice(self.address, prefix, error)) from error
        return iter(sorted(found))

    def delete(self, name: str) -> None:
        """One DELETE; it does not mind a name that is not there."""
        try:
            obstore.delete(_client(self.address), name)
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            raise StoreError(_advice(self.address, name, error)) from error


@lru_cache
def _client(address: str) -> Any:
    """A client a process: it holds connections, so it cannot travel to a worker."""
    return obstore.store.from_url(address)


def _advice(address: str, name: str, error: object) -> str:
    return (
        f"{address}/{name}: {str(error).strip().splitlines()[0]}. Check the bucket, the credentials and the endpoint in "
        "the environment; what was committed before is whole."
    )
