"""The control files of a round, read in one way: `round.json` and the receipts."""

from typing import Any

from pipeline.storage.store import Store
from schemas.control_file import Kinds, read_control
from schemas.manifest import Receipt

CARD: Kinds = {
    "fingerprint": str,
    "units": int,
    "items": int,
    "unit_size": int,
    "seed": int,
    "stages": list,
}
MEND = (
    "the command that made this round, given again, writes it anew; a round of signatures may be deleted, "
    "jobs/shards.py signs again"
)


def card(store: Store, folder: str) -> dict[str, Any]:
    """A round's `round.json`. Raises ControlFileError if it is missing, damaged or changed by hand."""
    return read_control(store.read(f"{folder}/round.json"), f"{store.url}/{folder}/round.json", MEND, CARD)


def read_receipt(store: Store, name: str) -> Receipt:
    """The receipt of a unit. Raises ControlFileError if it is missing, damaged or changed by hand."""
    return Receipt.from_json(store.read(name), f"{store.url}/{name}")
