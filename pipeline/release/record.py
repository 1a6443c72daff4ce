"""`publications/TIME-DIGEST.json` of a run: who published what of it, and when."""

import getpass
import json
from collections.abc import Mapping
from datetime import UTC, datetime

from pipeline.rounds.ledger import recorded
from pipeline.storage.store import Store
from schemas.errors import HazmatError

FOLDER = "publications"


def record_release(store: Store, tier: str, counts: Mapping[str, int], digest: str, *, words: bool) -> str:
    """Enter a release before anybody can see it: one file each, which is never written over. Returns its name."""
    now = datetime.now(UTC)
    said = {"time": now.isoformat(), "who": getpass.getuser(), "tier": tier, "rows": dict(counts), "words": words}
    name = f"{FOLDER}/{now:%Y%m%dT%H%M%S.%fZ}-{digest[:8]}.json"
    with recorded(store, name, by="jobs/publish.py"):
        if not store.create(name, json.dumps({**said, "digest": digest}, indent=1).encode()):
            raise HazmatError(
                f"{store.url}/{name} is there already, so this release could not be recorded; publish again"
            )
    return name
