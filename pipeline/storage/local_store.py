"""A run in a folder of this machine."""

import io
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

from pipeline.storage.store import Extent, Store, StoreError

COPY_PIECE = 1 << 20  # bytes


@dataclass(frozen=True, slots=True)
class LocalStore(Store):
    """A directory. `private` makes it and what is in it readable to its owner only (restricted runs). `follow_links` reads what
    links in it name, wherever that lies: for folders of the user's, never for a run.
    """

    root: Path
    private: bool = False
    follow_links: bool = False

    @property
    def url(self) -> str:
        """The absolute path."""
        return str(self.root)

    def path(self, name: str) -> Path:
        """The file of `name`. Raises StoreError if it would lie outside the root."""
        path = self.root / name
        if ".." in Path(name).parts or Path(name).is_absolute() or "\0" in name:
            raise StoreError(f"{name!r} points outside of {self.root}")
        real, root = os.path.realpath(path), _real(self.root)
        if not self.follow_links and real != root and not real.startswith(root.rstrip(os.sep) + os.sep):
            raise StoreError(
                f"{path} is a link to {real}, out of the run; put the file itself there, or delete the link"
            )
        return path

    def write(self, name: str, data: bytes, *, durable: bool = True) -> None:
        """Temporary file, fsync, rename, fsync of the folder."""
        self._replace(name, io.BytesIO(data), durable)

    def write_file(self, name: str, file: Path) -> None:
        """As `write`, copied in pieces."""
        with file.open("rb") as source:
            self._replace(name, source, durable=True)

    def _replace(self, name: str, source: BinaryIO, durable: bool) -> None:
        path = self.path(name)
        try:
            temporary = self._temporary(path, source, durable)
            temporary.replace(path)
            if durable:
                _sync_folder(path.parent)
        except OSError as error:
            raise StoreError(_advice(path, error)) from error

    def create(self, name: str, data: bytes) -> bool:
        """As `write`, but a hard link puts the name, which fails if the name is taken."""
        path = self.path(name)
        try:
            temporary = self._temporary(path, io.BytesIO(data), durable=True)
            try:
                os.link(temporary, path)
            except FileExistsError:
                return False
            finally:
                temporary.unlink()
            _sync_folder(path.parent)
        except OSError as error:
            raise StoreError(_advice(path, error)) from error
        return True

    def read(self, name: str) -> bytes | None:
        """The file's bytes."""
        try:
            return self.path(name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(_advice(self.path(name), error)) from error

    def read_range(self, name: str, offset: int, size: int) -> bytes:
        """One seek and read."""
        with self.open(name) as file:
            file.seek(offset)
            data = file.read(size)
        if len(data) != size:
            raise StoreError(f"{self.path(name)} ends before byte {offset + size}: it was cut short")
        return data

    def read_ranges(self, ranges: Sequence[Extent]) -> list[bytes]:
        """Each file is opened once, and read front to back."""
        order = sorted(range(len(ranges)), key=lambda place: ranges[place])
        parts = [b""] * len(ranges)
        for name, places in groupby(order, key=lambda place: ranges[place][0]):
            with self.open(name) as file:
                for place in places:
                    _, offset, size = ranges[place]
                    file.seek(offset)
                    parts[place] = file.read(size)
                    if len(parts[place]) != size:
                        raise StoreError(f"{self.path(name)} ends before byte {offset + size}: it was cut short")
        return parts

    def open(self, name: str) -> BinaryIO:
        """The open file."""
        try:
            return self.path(name).open("rb")
        except OSError as error:
            raise StoreError(_advice(self.path(name), error)) from error

    def size(self, name: str) -> int | None:
        """The file's size."""
        try:
            return self.path(name).stat().st_size
        except FileNotFoundError:
            return None

    def names(self, prefix: str) -> Iterator[str]:
        """Files below a folder; temporary ones are left out."""
        folder = self.path(prefix)
        files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
        return iter(sorted(path.relative_to(self.root).as_posix() for path in files))

    def delete(self, name: str) -> None:
        """Unlink."""
        with suppress(FileNotFoundError):
            self.path(name).unlink()

    def links(self) -> Iterator[str]:
        """Symbolic links; no command makes any."""
        for folder, folders, files in os.walk(self.root):
            for name in sorted([*folders, *files]):
                path = Path(folder) / name
                if path.is_symlink():
                    yield path.relative_to(self.root).as_posix()

    def _temporary(self, path: Path, source: BinaryIO, durable: bool) -> Path:
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700 if self.private else 0o777)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # a leading dot: `names` passes it by
        try:
            with os.fdopen(handle, "wb") as file:
                shutil.copyfileobj(source, file, COPY_PIECE)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            if not self.private:
                Path(name).chmod(0o666 & ~_UMASK)
        except BaseException:  # a signal's, too
            Path(name).unlink(missing_ok=True)
            raise
        return Path(name)


@lru_cache
def _real(root: Path) -> str:
    return os.path.realpath(root)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


_UMASK = _umask()  # read once: asking means setting it for a moment, for all threads


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _advice(path: Path, error: OSError) -> str:
    return (
        f"{path}: {error.strerror or error}. What was committed before is whole; "
        "make room or mend the path, then run the same command to go on."
    )
