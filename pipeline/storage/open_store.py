"""The one door to a run's data: a folder or an object store, by its url."""

from pathlib import Path

from pipeline.storage.local_store import LocalStore
from pipeline.storage.store import OBJECT_SCHEMES, Store
from schemas.errors import InputError


def open_store(url: str, *, private: bool = False) -> Store:
    """The store at a path or at an object-store url. Raises InputError for what is neither."""
    if url.startswith(OBJECT_SCHEMES):
        from pipeline.storage.object_store import ObjectStore

        return ObjectStore(url.rstrip("/"))
    if "://" in url:
        raise InputError(f"--out {url}: expected a path or one of {', '.join(OBJECT_SCHEMES)}…")
    root = Path(url).absolute()
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700 if private else 0o777)
        if private:
            root.chmod(0o700)
    except OSError as error:
        raise InputError(f"--out {root}: {error.strerror or error}; name a folder that can be written to") from error
    return LocalStore(root, private)
