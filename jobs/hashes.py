#!/usr/bin/env python
"""Write the hashes of a run's pictures as a list that platforms exchange, or say which pictures of the run are on such a list.

    jobs/hashes.py runs/mine --out hashes.csv                      PDQ of every picture of good quality, and MD5 of every file
    jobs/hashes.py runs/mine --out hashes.json --unsafe            of those that labels call unsafe, as ThreatExchange's JSON
    jobs/hashes.py runs/mine --match list.csv --out keys.txt       keys of pictures on a list, for jobs/revoke.py RUN --keys

No picture is shown or written. A list is CSV (signal_type, signal_str), JSON (indicator, type) or a hash a line
(docs/guide/hashes.md).
"""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from typer import Option

from jobs.command import DONE, LocalCommand, report, resolve_out, run_command, say
from jobs.command.flags import Run
from schemas.errors import InputError

if TYPE_CHECKING:
    from pipeline.storage.store import Store

BATCH = 256  # pictures read at once


@dataclass(frozen=True, kw_only=True)
class Hashes(LocalCommand):
    """Which run, and which way."""

    resumes: ClassVar = False

    run: Run
    out: Annotated[Path, Option(metavar="FILE", help="to write: .csv or .json, or keys with --match")]
    match: Annotated[Path | None, Option(metavar="LIST", help="a list to look the run's pictures up in")] = None
    unsafe: Annotated[bool, Option("--unsafe", help="only pictures whose image or pair is labelled unsafe")] = False


def main(config: Hashes) -> int:
    """Read each picture once."""
    from pipeline.catalogue.answer_files import outside
    from pipeline.rounds.existing_run import existing_run

    started = time.monotonic()
    store, _ = existing_run(resolve_out(config.run))
    out = outside(store, config.out)
    if config.match is not None and config.unsafe:
        raise InputError("--match looks up every picture of the run; leave --unsafe out")
    summary = matched(store, config.match, out) if config.match is not None else listed(store, config.unsafe, out)
    summary["seconds"] = round(time.monotonic() - started, 2)
    report(config, summary)
    return DONE


def listed(store: "Store", unsafe: bool, out: Path) -> dict[str, object]:
    """Write the list."""
    from pipeline.storage.image_codec import decode
    from stages.signature.hash_lists import write_hash_list
    from stages.signature.pdq import QUALITY, pdq

    if out.suffix.lower() not in (".csv", ".json"):
        raise InputError(f"--out {out}: a list is written as .csv or .json")
    rows: list[tuple[str, str, str]] = []
    pictures = flat = 0
    for _, kind, category, data in committed_pictures(store, unsafe):
        code, quality = pdq(decode(data, kind))
        pictures += 1
        flat += quality < QUALITY
        rows += [("pdq", code.tobytes().hex(), category)] if quality >= QUALITY else []
        rows.append(("md5", hashlib.md5(data, usedforsecurity=False).hexdigest(), category))
    written = write_hash_list(out, dict.fromkeys(rows))
    say(f"{written} hashes of {pictures} pictures in {out}; {flat} pictures are too flat for PDQ")
    return {"out": str(out), "hashes": written, "pictures": pictures, "too_flat": flat}


def matched(store: "Store", path: Path, out: Path) -> dict[str, object]:
    """Write the keys of pictures on the list."""
    from pipeline.storage.image_codec import decode
    from stages.generate.finished_check import listed_by
    from stages.signature.hash_lists import read_hash_list

    known = read_hash_list(path)
    keys: dict[str, str] = {}
    pictures = 0
    for key, kind, _, data in committed_pictures(store, unsafe=False):
        pictures += 1
        exact = hashlib.md5(data, usedforsecurity=False).hexdigest() in known.md5
        by = "md5" if exact else listed_by(decode(data, kind), known)
        if by is not None:
            keys[key] = by
    out.touch(mode=0o600)
    out.write_text("".join(f"{key}\n" for key in keys))
    by_kind = {kind: sum(each == kind for each in keys.values()) for kind in ("md5", "pdq", "phash")}
    say(f"{len(keys)} of {pictures} pictures are on the list ({by_kind}); their keys are in {out}")
    if keys:
        say(f"to take them out: jobs/revoke.py RUN --keys {out}")
    return {"out": str(out), "matched": len(keys), "pictures": pictures, "by": by_kind, "left_out": known.left_out}


def committed_pictures(store: "Store", unsafe: bool) -> Iterator[tuple[str, str, str, bytes]]:
    """Key, format, category and file of every picture of the run, in the order of keys."""
    from pipeline.catalogue.question import confined
    from pipeline.catalogue.views import refresh

    refresh(store)
    wanted = "AND (image_label = 'unsafe' OR pair_label = 'unsafe')" if unsafe else ""
    what = "key, format, coalesce(category, ''), tar, tar_offset, tar_size"
    with confined(store) as con:
        rows = con.sql(f"SELECT {what} FROM samples WHERE tar IS NOT NULL {wanted} ORDER BY key").fetchall()
    for first in range(0, len(rows), BATCH):
        part = rows[first : first + BATCH]
        for row, data in zip(part, store.read_ranges([row[3:6] for row in part]), strict=True):
            yield row[0], row[1], row[2], data


if __name__ == "__main__":
    run_command(main)
