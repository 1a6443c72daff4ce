"""The audit log of a run: who saw, took out, revoked or published what. A hash chain of small files, `audit/00000001.json` and on.

Each entry holds the sha256 of the one before, and is put only where none is yet: whoever writes at the same time, on whatever
store, the chain has no fork. A changed, lost or inserted entry breaks it, which `jobs/verify.py` names; the ledger owns every
entry, so the last one cannot be cut off either. Entries name keys, never prompts.
"""

import getpass
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from pipeline.rounds.ledger import recorded, unfinished
from pipeline.storage.store import Store
from schemas.control_file import check_fields, control_json, damaged, read_control

FOLDER = "audit"
ACTIONS = ("reveal", "export", "revoke", "forget", "publish")
BEGINNING = "0" * 64
"""What the first entry has for the digest of the one before."""
MEND = "put it back from a copy: an audit log can't be made again"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One row of the log."""

    number: int  # from 1, without gaps
    time: str  # UTC, ISO 8601
    user: str  # of the operating system
    person: str | None  # of the web app, if it was done there
    action: str  # one of ACTIONS
    by: str  # the command
    details: Mapping[str, Any]  # JSON: keys, counts, a tier, a reason
    previous: str  # sha256 of the entry before, as its file is


_KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys((field.name for field in fields(AuditEntry)), str),
    "number": int,
    "person": (str, type(None)),
    "details": dict,
}


def append(store: Store, action: str, details: Mapping[str, Any], *, by: str, person: str | None = None) -> AuditEntry:
    """Enter what is about to be done, before it is; durable when this returns."""
    if action not in ACTIONS:
        raise ValueError(f"{action!r} is no action of the audit log; those are {', '.join(ACTIONS)}")
    while True:
        number, previous = _end(store)
        entry = AuditEntry(
            number=number + 1,
            time=datetime.now(UTC).isoformat(),
            user=_user(),
            person=person,
            action=action,
            by=by,
            details=dict(details),
            previous=previous,
        )
        name = name_of(entry.number)
        # An entry whose writer was killed before the ledger knew it is in the chain, so it is entered now.
        with recorded(store, *unfinished(store, FOLDER), name, by=by):
            if store.create(name, control_json(asdict(entry))):
                return entry


def entries(store: Store) -> Iterator[AuditEntry]:
    """The log from its beginning. Raises ControlFileError for an entry that is damaged or does not follow the one before."""
    previous, number = BEGINNING, 0
    for name in store.names(FOLDER):
        data, number = store.read(name), number + 1
        entry = read_entry(data, f"{store.url}/{name}")
        if name != name_of(number) or entry.number != number:
            raise damaged(f"{store.url}/{name}", f"is where entry {number} belongs: one is gone, or put in", MEND)
        if entry.previous != previous:
            raise damaged(f"{store.url}/{name}", "does not follow the entry before it: one of them was changed", MEND)
        previous = sha256(data or b"").hexdigest()
        yield entry


def read_entry(data: bytes | None, name: str) -> AuditEntry:
    """One file of the log. Raises ControlFileError."""
    found = read_control(data, name, MEND, _KINDS)
    known = {field.name: found[field.name] for field in fields(AuditEntry)}
    check_fields(known, _KINDS, name, MEND)
    return AuditEntry(**known)


def name_of(number: int) -> str:
    """The file of an entry."""
    return f"{FOLDER}/{number:08d}.json"


def _end(store: Store) -> tuple[int, str]:
    """The last entry's number and the sha256 of its file."""
    last = max(store.names(FOLDER), default=None)
    if last is None:
        return 0, BEGINNING
    data = store.read(last)
    return read_entry(data, f"{store.url}/{last}").number, sha256(data or b"").hexdigest()


def _user() -> str:
    """The operating system's name of who runs this, or its number where it has none (a container without passwd)."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return f"uid {os.getuid()}"
