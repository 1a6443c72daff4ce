"""Is every file of a run what its owner says? The ledger owns the seals, a seal its round's card and receipts, a card its plan."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from pipeline.dataset.audit import READERS, Audit, Expected
from pipeline.dataset.shards import FOLDER as SHARDS
from pipeline.rounds.audit_log import FOLDER as AUDIT_LOG
from pipeline.rounds.audit_log import MEND as AUDIT_MEND
from pipeline.rounds.control_files import card
from pipeline.rounds.ledger import NAME as LEDGER
from pipeline.rounds.ledger import Ledger, read_ledger
from pipeline.rounds.plan_file import REVOKED, check_plan
from pipeline.rounds.seal import ALONE, read_seal
from pipeline.rounds.seal import NAME as SEAL
from pipeline.storage.store import Store
from schemas.errors import HazmatError

Found = TypeVar("Found")
SHOWN = 5  # names of files without an owner
PASSING = ("attempts/",)  # notes of batches in work, within a round


@dataclass(frozen=True)
class Owners:
    """What `check_owners` found at the top of the chain."""

    ledger: Ledger
    layout: bool  # whether this run has a chain at all; older ones have none


def check_ledger(audit: Audit) -> Owners:
    """The ledger is whole, and every file that it names hashes to what it says. Links are no files of a run."""
    store = audit.store
    audit.problems += [f"{name} is a link; no command makes one: put the file itself there" for name in store.links()]
    try:
        ledger = read_ledger(store)
    except HazmatError as error:
        audit.problems.append(str(error))
        return Owners(Ledger(), layout=True)
    if ledger is None:
        return Owners(Ledger(), layout=False)
    audit.root = ledger.root
    audit.owned |= {LEDGER, *ledger.files}
    with ThreadPoolExecutor(READERS) as pool:
        for name, actual in zip(ledger.files, pool.map(lambda name: _digest(store, name), ledger.files), strict=True):
            _compare(audit, ledger, name, actual)
    for place, by in ledger.open.items():
        if any(True for _ in store.names(place.rstrip("/"))) or store.size(place) is not None:
            audit.notes.append(f"{place} is unfinished: {by} was writing it; give that command again")
    return Owners(ledger, layout=True)


def _digest(store: Store, name: str) -> str | None:
    """sha256, None for what is not there, or the reason why it cannot be read."""
    try:
        return store.digest(name)
    except (HazmatError, OSError) as error:
        return str(error)


def _compare(audit: Audit, ledger: Ledger, name: str, actual: str | None) -> None:
    if actual == ledger.files[name]:
        audit.files, audit.bytes = audit.files + 1, audit.bytes + (audit.store.size(name) or 0)
    elif ledger.writer(name) is not None:
        return  # unfinished, which is said once
    elif actual is None:
        audit.problems.append(f"{name} is not there, and {LEDGER} names it; {mend(name)}")
    else:
        audit.problems.append(
            f"{name} is not what was written: {LEDGER} says {ledger.files[name]}, it is {actual}; {mend(name)}"
        )


def mend(name: str) -> str:
    """How a file that the ledger owns is made again."""
    top = name.split("/")[0]
    if top == AUDIT_LOG:
        return AUDIT_MEND
    if top in ("models", "results", "reveals", "publications", "reviews", "revoked.parquet", "contact_sheet.png"):
        return f"put it back from a copy, or delete {'/'.join(name.split('/')[:2])} and give the command that made it again"
    return "jobs/verify.py RUN --repair makes it again, if it can be"


def check_round_files(audit: Audit, owners: Owners, folder: str) -> Expected:
    """The round's card, plan and seal; and what its receipts have to be."""
    store, by = audit.store, owners.ledger.writer(f"{folder}/{SEAL}")
    audit.owned |= {f"{folder}/{name}" for name in (*ALONE, SEAL, "plan.parquet")}
    seal, known = _read(audit, lambda: read_seal(store, folder)), _read(audit, lambda: card(store, folder))
    if known is not None:
        _check_plan(audit, owners, folder, known)
        _count(audit, folder, known["units"], seal is not None and by is None)
    fingerprint = known["fingerprint"] if known is not None else None
    if by is not None:
        return Expected(fingerprint if folder != SHARDS else None, None)
    if seal is None and owners.ledger.files and any(True for _ in store.names(f"{folder}/receipts")):
        audit.notes.append(f"{folder} has no seal: it is of an older layout; jobs/verify.py RUN --repair gives it one")
    _check_sealed(audit, folder, seal or {})
    return Expected(fingerprint, seal)


def _read(audit: Audit, read: Callable[[], Found]) -> Found | None:
    try:
        return read()
    except HazmatError as error:
        audit.problems.append(str(error))
        return None


def _check_plan(audit: Audit, owners: Owners, folder: str, known: Mapping[str, Any]) -> None:
    """The plan is the card's. A card that names its digest was made with a ledger."""
    gone = f"{LEDGER} is gone, and this run was made with one; jobs/verify.py RUN --repair makes another"
    if not owners.layout and "plan_sha256" in known and gone not in audit.problems:
        audit.problems.append(gone)
    if "plan_sha256" in known or audit.store.size(REVOKED) is None:
        _read(audit, lambda: check_plan(audit.store, folder, known))


def _count(audit: Audit, folder: str, units: int, sealed: bool) -> None:
    receipts = sum(1 for _ in audit.store.names(f"{folder}/receipts"))
    if receipts == units:
        return
    counts = f"{folder}: {receipts} of {units} units are committed"
    if sealed or receipts > units:
        audit.problems.append(f"{counts}; the command that made it commits what is missing")
    else:
        undo = f"; jobs/retry.py {audit.store.url} --undo takes it back" if "-retry-" in folder and not receipts else ""
        audit.notes.append(f"{counts}: it is unfinished, and the command that began it goes on{undo}")


def _check_sealed(audit: Audit, folder: str, seal: dict[str, str]) -> None:
    """What the seal owns besides receipts is what was sealed, and no receipt is gone."""
    store = audit.store
    there = set(store.names(f"{folder}/receipts"))
    for name, sha in seal.items():
        whole = f"{folder}/{name}"
        if name in ALONE and _digest(store, whole) != sha:
            audit.problems.append(f"{whole} is not what was sealed; put it back from a copy: it says what the round is")
        elif name not in ALONE and whole not in there:
            audit.problems.append(f"{whole} is gone; the command that made {folder} commits the unit again")


def check_unowned(audit: Audit, owners: Owners) -> None:
    """Files that no check looks after: left by a command that was killed, or put there by somebody."""
    names = list(_unowned(audit, owners.ledger))
    if not owners.layout:
        audit.notes.append(
            f"a run of an older layout: {len(names)} files have no owner, so that nobody can say whether they are as they were "
            "written (labels, models, results, …); jobs/verify.py RUN --repair gives them one as they are now"
        )
        return
    audit.notes += [f"{name} has no owner: no command that ended wrote it" for name in names[:SHOWN]]
    if len(names) > SHOWN:
        audit.notes.append(f"… and {len(names) - SHOWN} more files have no owner")


def _unowned(audit: Audit, ledger: Ledger) -> Iterator[str]:
    return (name for name in audit.store.names("") if name not in audit.owned and not is_in_work(name, ledger))


def is_in_work(name: str, ledger: Ledger) -> bool:
    """Whether it is a note of a batch in work, or a command that did not end was writing it or its round."""
    inner = name.split("/", 2)[-1] if name.startswith("rounds/") else name.removeprefix(f"{SHARDS}/")
    round_ = SHARDS if name.startswith(f"{SHARDS}/") else "/".join(name.split("/")[:2])
    writing = ledger.writer(name) or ledger.writer(f"{round_}/{SEAL}")
    return inner.startswith(PASSING) or writing is not None
