"""Take revoked samples out of reviews: their keys, and the votes on them. Items keep their numbers."""

import json
from collections.abc import Collection

from pipeline.rounds.ledger import recorded
from pipeline.storage.store import Store
from pipeline.votes.review_book import FOLDER, MEND
from schemas.control_file import control_json, read_control


def scrub_reviews(store: Store, gone: Collection[str]) -> int:
    """How many items were taken out. Idempotent."""
    items = 0
    for path in [name for name in store.names(FOLDER) if name.endswith("/review.json")]:
        card = read_control(store.read(path), f"{store.url}/{path}", MEND, {"keys": list})
        places = {number for number, key in enumerate(card["keys"]) if key in gone}
        if not places:
            continue
        folder = path.removesuffix("review.json")
        with recorded(store, folder, by="jobs/revoke.py"):
            for name in list(store.names(f"{folder}votes")):
                if int(name.removeprefix(f"{folder}votes/").split(".")[0]) in places:
                    store.delete(name)
            for name in list(store.names(f"{folder}commits")):
                _scrub_waiting(store, name, gone)
            keys = [None if number in places else key for number, key in enumerate(card["keys"])]
            store.write(path, control_json({**card, "keys": keys}))
        items += len(places)
    return items


def _scrub_waiting(store: Store, name: str, gone: Collection[str]) -> None:
    """Votes that wait to become a round; a receipt names no key."""
    data = store.read(name) or b""
    if data.startswith(b"["):
        left = [task for task in json.loads(data) if task["data"]["key"] not in gone]
        store.write(name, json.dumps(left, ensure_ascii=False).encode())
