"""`seal.json` of a round: the sha256 of its `round.json`, of when it began, and of every receipt. The ledger owns the seals."""

from collections.abc import Collection, Iterable, Iterator

from pipeline.rounds.ledger import read_ledger, recorded
from pipeline.rounds.round import Round
from pipeline.storage.store import Store
from schemas.control_file import check_fields, control_json, read_control
from schemas.manifest import Receipt

NAME = "seal.json"
ALONE = ("round.json", "began.txt")
"""What a seal owns beside receipts. `round.json` has the digest of the plan."""
MEND = "jobs/verify.py RUN --repair makes one of what is there"


def read_seal(store: Store, folder: str) -> dict[str, str] | None:
    """sha256 by name within the round; None for a round that no command finished. Raises ControlFileError for a damaged one."""
    data, name = store.read(f"{folder}/{NAME}"), f"{store.url}/{folder}/{NAME}"
    if data is None:
        return None
    files: dict[str, str] = read_control(data, name, MEND, {"files": dict})["files"]
    check_fields(files, dict.fromkeys(files, str), name, MEND)
    return files


def seal_round(store: Store, folder: str, written: Collection[str] = ()) -> None:
    """Seal what the round holds. What was sealed already keeps its digest, but for the names in `written`."""
    known = read_seal(store, folder) or {}
    digests = {}
    for name in _sealed_names(store, folder):
        sha = None if name in written else known.get(name)
        digests[name] = sha or store.digest(f"{folder}/{name}")
    files = {name: sha for name, sha in digests.items() if sha is not None}
    if files != known:
        store.write(f"{folder}/{NAME}", control_json({"files": files}))


def _sealed_names(store: Store, folder: str) -> list[str]:
    receipts = [name.removeprefix(f"{folder}/") for name in store.names(f"{folder}/receipts")]
    return [*ALONE, *receipts]


def sealing(round_: Round, units: Collection[int], receipts: Iterable[Receipt]) -> Iterator[Receipt]:
    """Pass the receipts of `units` on, and seal the round once all of them are there; nothing for one that is sealed already."""
    store, folder = round_.store, round_.folder
    if not units and _is_sealed(store, folder):
        return
    with recorded(store, f"{folder}/{NAME}", by=f"the command that made {folder}"):
        yield from receipts
        seal_round(store, folder, {f"receipts/unit-{unit:06d}.json" for unit in units})


def _is_sealed(store: Store, folder: str) -> bool:
    ledger, name = read_ledger(store), f"{folder}/{NAME}"
    if ledger is None or name not in ledger.files or ledger.writer(name) is not None:
        return False
    known = read_seal(store, folder) or {}
    return all(name in known for name in _sealed_names(store, folder) if name.startswith("receipts/"))
