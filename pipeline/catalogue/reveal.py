"""Write the pictures of a query's answer: blurred before they leave the run, unless a person asks, which the audit log keeps."""

from pathlib import Path

from pipeline.catalogue.answers import Answer
from pipeline.catalogue.duck import Connection
from pipeline.rounds.audit_log import append
from pipeline.storage.image_codec import blurred, decode, encode
from pipeline.storage.store import Store
from schemas.errors import InputError

BY = "jobs/query.py RUN SQL --images DIR --reveal"


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
        append(store, "reveal", {"question": question, "keys": keys}, by=BY)  # before anything can be seen
    written = []
    for key, tar, offset, size, form in places:
        data = store.read_range(tar, offset, size)
        path = folder / (f"{key}.{form}" if reveal else f"{key}.png")
        path.write_bytes(data if reveal else encode(blurred(decode(data, form)), "png"))
        written.append(path)
    print(f"{len(written)} pictures in {folder}" + ("" if reveal else ", blurred (--reveal writes them as they are)"))
    return written
