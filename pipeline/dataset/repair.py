"""Make again what can be made of what is there: `jobs/verify.py --repair`. Nothing that only its command can make is touched."""

from collections.abc import Callable, Iterator
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.catalogue.labels import LABELS
from pipeline.catalogue.views import STATE, refresh
from pipeline.dataset.derived_checks import method_of
from pipeline.dataset.ownership import is_in_work
from pipeline.dataset.verify import round_folders
from pipeline.rounds.control_files import card, read_receipt
from pipeline.rounds.ledger import NAME as LEDGER
from pipeline.rounds.ledger import Ledger, read_ledger, recorded
from pipeline.rounds.seal import ALONE, read_seal, seal_round
from pipeline.rounds.seal import NAME as SEAL
from pipeline.storage.store import Store
from pipeline.votes.aggregate import aggregate
from pipeline.votes.labels import METHODS
from schemas.control_file import ControlFileError
from schemas.errors import HazmatError

BY = "jobs/verify.py RUN --repair"


def repair(store: Store) -> Iterator[str]:
    """Mend labels, catalogue, seals and ledger where they are damaged or missing; yields what was made again."""
    fresh = _drop_damaged(store, LEDGER, partial(read_ledger, store))
    for folder in round_folders(store):
        missing = _drop_damaged(store, f"{folder}/{SEAL}", partial(read_seal, store, folder))
        if missing and _whole(store, folder):
            with recorded(store, f"{folder}/{SEAL}", by=BY):
                seal_round(store, folder)
            yield f"{folder}/{SEAL}, of the receipts as they are now"
    if not fresh and _changed(store, LABELS) and (method := _method(store)) is not None:
        aggregate(store, method)
        yield f"{LABELS}, of all votes by {method}"
    if store.size(STATE) is not None and any(_changed(store, name) for name in _catalogue(store)):
        store.delete(STATE)
        refresh(store)
        yield "the catalogue, of the rounds"
    adopted = _unowned(store)
    if adopted:
        with recorded(store, *adopted, by=BY):
            pass
        yield f"{LEDGER}: {len(adopted)} files are in it now as they are; what they were before, nobody can say"


def _drop_damaged(store: Store, name: str, read: Callable[[], object]) -> bool:
    """Whether a control file is not there; a damaged one is deleted."""
    try:
        return read() is None
    except ControlFileError:
        store.delete(name)
        return True


def _whole(store: Store, folder: str) -> bool:
    """Whether every unit of the round is committed, by receipts that can be read."""
    try:
        names = list(store.names(f"{folder}/receipts"))
        for name in names:
            read_receipt(store, name)
        units: int = card(store, folder)["units"]
        return len(names) == units
    except ControlFileError:
        return False


def _changed(store: Store, name: str) -> bool:
    ledger = read_ledger(store)
    entered = ledger.files.get(name) if ledger is not None else None
    return entered is not None and entered != store.digest(name)


def _catalogue(store: Store) -> list[str]:
    ledger = read_ledger(store)
    return [name for name in (ledger.files if ledger else ()) if name.startswith(("catalogue/", "catalog.sql"))]


def _method(store: Store) -> str | None:
    """How the labels were derived, where they still say so."""
    try:
        with store.open(LABELS) as file:
            method = method_of(pq.ParquetFile(file).read(columns=["method"]))
    except (HazmatError, pa.ArrowException, OSError):
        return None
    return method if method in METHODS else None


def _unowned(store: Store) -> list[str]:
    """Names that nothing owns, and that no command began to write."""
    ledger = read_ledger(store) or Ledger()
    owned = {LEDGER, *ledger.files}
    for folder in round_folders(store):
        owned |= {f"{folder}/{name}" for name in (*ALONE, "plan.parquet")}
        for name in store.names(f"{folder}/receipts"):
            owned.add(name)
            try:
                owned |= {f"{folder}/{entry.name}" for entry in read_receipt(store, name).files}
            except ControlFileError:
                continue
    return [name for name in store.names("") if name not in owned and not is_in_work(name, ledger)]
