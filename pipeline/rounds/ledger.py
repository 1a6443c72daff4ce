"""The ledger of a run: the sha256 of every file that no receipt names, and over all of them one root digest.

Receipts own the files of their units, a round's seal owns its receipts, and `ledger.json` owns the seals, `run.json`, what is
derived, models and results. Whoever writes one of these does it within `recorded`. What anybody else changes keeps its old
digest here, so that `jobs/verify.py` names it, whatever ran since.
"""

import json
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256

from pipeline.storage.store import Store
from schemas.control_file import check_fields, control_json, damaged, inside, read_control

NAME = "ledger.json"
MEND = "jobs/verify.py RUN --repair makes one of what is there"
_WRITING = threading.RLock()
"""Held while the ledger is read and written again: threads of one process must not write over each other's entries."""


@dataclass(frozen=True)
class Ledger:
    """`files`: sha256 by name. `open`: files and folders ("models/text/") that a command began to write, and which command."""

    files: Mapping[str, str] = field(default_factory=dict)
    open: Mapping[str, str] = field(default_factory=dict)

    @property
    def root(self) -> str:
        """One digest that changes with any byte of the run: of its files, and through seals and receipts of all units."""
        return sha256(json.dumps(dict(self.files), sort_keys=True).encode()).hexdigest()

    def writer(self, name: str) -> str | None:
        """The command that began to write `name` and did not end."""
        return next((by for place, by in self.open.items() if _is_of(name, place)), None)


def read_ledger(store: Store) -> Ledger | None:
    """The run's ledger, None where there is none yet. Raises ControlFileError for a damaged one."""
    data, name = store.read(NAME), f"{store.url}/{NAME}"
    if data is None:
        return None
    raw = read_control(data, name, MEND, {"files": dict, "open": dict})
    check_fields(raw["files"], dict.fromkeys(raw["files"], str), name, MEND)
    check_fields(raw["open"], dict.fromkeys(raw["open"], str), name, MEND)
    if outside := [one for one in (*raw["files"], *raw["open"]) if not inside(one)]:
        raise damaged(name, f"names a file outside of the run, {outside[0][:80]!r}", MEND)
    return Ledger(raw["files"], raw["open"])


def write_ledger(store: Store, ledger: Ledger) -> None:
    """Whole, in place of the last one."""
    store.write(NAME, control_json({"files": dict(ledger.files), "open": dict(ledger.open)}))


def root_digest(store: Store) -> str:
    """The run's root digest; of an empty ledger where there is none."""
    return (read_ledger(store) or Ledger()).root


@contextmanager
def recorded(store: Store, *places: str, by: str) -> Iterator[list[str]]:
    """Write files, and folders with all that is in them ("models/text/"), and enter what they are then. Yields the list.

    The block may change the list. Until it ends well they count as being written `by` that command: after a kill they are
    unfinished, not damaged.
    """
    written = list(places)
    with _WRITING:
        ledger = read_ledger(store) or Ledger()
        write_ledger(store, Ledger(ledger.files, {**ledger.open, **dict.fromkeys(places, by)}))
    try:
        yield written
    except Exception:
        if _found(store, places) == _of(ledger, places):  # nothing was written, so nothing is unfinished
            _close(store, places, _of(ledger, places))
        raise
    _close(store, written, _found(store, written), places)


def _close(store: Store, written: Sequence[str], digests: Mapping[str, str], places: Sequence[str] = ()) -> None:
    """Enter `digests` as all that there is of `written`. Read anew: another command may have written meanwhile."""
    with _WRITING:
        ledger = read_ledger(store) or Ledger()
        files = {name: sha for name, sha in ledger.files.items() if not any(_is_of(name, place) for place in written)}
        still = {place: by for place, by in ledger.open.items() if place not in (*written, *places)}
        write_ledger(store, Ledger({**files, **digests}, still))


def _found(store: Store, places: Iterable[str]) -> dict[str, str]:
    return {name: sha for name in _expanded(store, places) if (sha := store.digest(name)) is not None}


def _of(ledger: Ledger, places: Sequence[str]) -> dict[str, str]:
    return {name: sha for name, sha in ledger.files.items() if any(_is_of(name, place) for place in places)}


@contextmanager
def forgotten(store: Store, folder: str) -> Iterator[None]:
    """Take a folder, and whatever a command began to write in it, out of the ledger while its files are deleted."""
    with recorded(store, f"{folder}/", by="a command that deletes it"):
        yield
    ledger = read_ledger(store) or Ledger()
    inside = f"{folder}/"
    write_ledger(store, Ledger(ledger.files, {p: by for p, by in ledger.open.items() if not p.startswith(inside)}))


def unfinished(store: Store, folder: str) -> list[str]:
    """Files of a folder whose writer was killed before the ledger knew them, or is at it now."""
    return [place for place in (read_ledger(store) or Ledger()).open if place.startswith(f"{folder}/")]


def unrecorded(store: Store, folder: str) -> list[str]:
    """Names in a folder that are there or in the ledger, not both: left by a command that was killed, or deleted by one."""
    known = set((read_ledger(store) or Ledger()).files)
    return sorted(set(store.names(folder)) ^ {name for name in known if name.startswith(f"{folder}/")})


def _is_of(name: str, place: str) -> bool:
    return name.startswith(place) if place.endswith("/") else name == place


def _expanded(store: Store, places: Iterable[str]) -> Iterator[str]:
    for place in places:
        yield from store.names(place.rstrip("/")) if place.endswith("/") else [place]
