"""Write the pictures of a query's answer: blurred before they leave the run, unless a person asks, which is kept on record."""

import getpass
import json
from datetime import UTC, datetime
from pathlib import Path

from pipeline.catalogue.answers import Answer
from pipeline.catalogue.duck import Connection
from pipeline.rounds.ledger import recorded
from pipeline.storage.image_codec import blurred, decode, encode
from pipeline.storage.store import Store
from schemas.errors import HazmatError, InputError
from schemas.identity import derived_key

REVEALS = "reveals"


def write_pictures(
    con: Connection, store: Store, answer: Answer, folder: Path, *, reveal: bool, question: str
) -> list[Path]:
    """`FOLDER/KEY.png` for every key of the answer. Raises InputError if the answer has no column `key`."""
    if "key" not in answer.columns:
        raise InputError(
            f"--images needs a column 'key' to know the pictures; the answer has {', '.join(answer.columns)}"
        )
    at = answer.columns.index("key")
    keys = list(dict.fromkeys(str(row[at]) for row in answer.rows))
    places = con.execute(
        "SELECT key, tar, tar_offset, tar_size, format FROM samples WHERE key IN (SELECT unnest(?))", [keys]
    ).fetchall()
    if len(places) != len(keys):
        raise InputError(f"{len(keys) - len(places)} of the answer's {len(keys)} keys are no sample's with a picture")
    folder.mkdir(parents=True, exist_ok=True)
    if reveal:
        record_reveal(store, keys, question)
    written = []
    for key, tar, offset, size, form in places:
        data = store.read_range(tar, offset, size)
        path = folder / (f"{key}.{form}" if reveal else f"{key}.png")
        path.write_bytes(data if reveal else encode(blurred(decode(data, form)), "png"))
        written.append(path)
    print(f"{len(written)} pictures in {folder}" + ("" if reveal else ", blurred (--reveal writes them as they are)"))
    return written


def record_reveal(store: Store, keys: list[str], question: str) -> None:
    """Say who is about to see what, before it can be seen: one file a reveal, which is never written over."""
    now = datetime.now(UTC)
    text = json.dumps({"time": now.isoformat(), "who": getpass.getuser(), "question": question, "keys": keys}, indent=1)
    name = f"{REVEALS}/{now:%Y%m%dT%H%M%S.%fZ}-{derived_key(text)[:8]}.json"
    with recorded(store, name, by="jobs/query.py RUN SQL --images DIR --reveal"):
        if not store.create(name, text.encode()):
            raise HazmatError(f"{store.url}/{name} is there already, so this reveal could not be recorded; ask again")
