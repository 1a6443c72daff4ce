"""Lists of hashes that platforms exchange: read in the shapes that they come in, and written in the same.

CSV with the columns of `threatexchange dataset --csv` (signal_type, signal_str, collab, category, tags); JSON of the ThreatExchange
API ({"data": [{"indicator", "type": "HASH_PDQ" | "HASH_MD5"}]}) or of HMA (signal_type, signal_value); or a line a hash: 16
hexadecimal digits are a pHash of 64 bits, 64 are PDQ, 32 are MD5 of a file. `#` begins a comment.
"""

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from schemas.errors import InputError
from stages.signature.pdq_index import PdqIndex

DIGITS = {"phash": 16, "pdq": 64, "md5": 32}
TYPES = {"hash_pdq": "pdq", "pdq": "pdq", "hash_md5": "md5", "md5": "md5", "photo_md5": "md5", "video_md5": "md5"}
COLUMNS = ("signal_type", "signal_str", "collab", "category", "tags")


@dataclass(frozen=True, eq=False)
class HashList:
    """`phash` uint64 [n], `pdq` an index, `md5` lower-case hexadecimal; `left_out` counts entries of kinds of no picture."""

    phash: npt.NDArray[np.uint64]
    pdq: PdqIndex
    md5: frozenset[str]
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.phash) + len(self.pdq) + len(self.md5)


@lru_cache
def read_hash_list(path: Path) -> HashList:
    """Raises InputError with the entry at fault, and for an empty list, which would check nothing."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the list of hashes {path} cannot be read ({error})") from error
    entries = {".json": _json, ".csv": _csv}.get(path.suffix.lower(), _lines)
    digests: dict[str, list[str]] = {kind: [] for kind in DIGITS}
    left_out = 0
    for where, kind, value in entries(path, text):
        if kind is None:
            left_out += 1
            continue
        if len(value) != DIGITS[kind] or not _hexadecimal(value):
            raise InputError(f"{path}, {where}: expected {DIGITS[kind]} hex digits of {_NAMES[kind]}")
        digests[kind].append(value.lower())
    if not any(digests.values()):
        raise InputError(f"the list of hashes {path} holds none, so it would check nothing")
    phash = np.array([int(value, 16) for value in digests["phash"]], dtype=np.uint64)
    codes = np.frombuffer(bytes.fromhex("".join(digests["pdq"])), dtype=np.uint8).reshape(-1, 32)
    return HashList(phash, PdqIndex(codes), frozenset(digests["md5"]), left_out)


_NAMES = {"phash": "a 64-bit pHash", "pdq": "a PDQ hash", "md5": "an MD5"}


def write_hash_list(path: Path, rows: Iterable[tuple[str, str, str]]) -> int:
    """Kind (pdq, md5), hash and category of each row as CSV or, where the name ends so, JSON; readable to its owner alone.
    Returns how many.
    """
    path.touch(mode=0o600)
    listed = list(rows)
    if path.suffix.lower() == ".json":
        data = [{"indicator": value, "type": f"HASH_{kind.upper()}", "tags": [tag]} for kind, value, tag in listed]
        path.write_text(json.dumps({"data": data}, indent=1))
        return len(listed)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows((kind, value, "hazmat", "", tag) for kind, value, tag in listed)
    return len(listed)


Entry = tuple[str, str | None, str]
"""Where it stands, its kind (None: of no picture), and the hash."""


def _lines(path: Path, text: str) -> Iterator[Entry]:
    kinds = {digits: kind for kind, digits in DIGITS.items()}
    for number, line in enumerate(text.splitlines(), 1):
        value = line.partition("#")[0].strip()
        if value:
            if len(value) not in kinds:
                raise InputError(
                    f"{path}, line {number}: expected 16 hex digits of a 64-bit pHash, 64 of PDQ or 32 of MD5"
                )
            yield f"line {number}", kinds[len(value)], value


def _csv(path: Path, text: str) -> Iterator[Entry]:
    reader = csv.DictReader(text.splitlines())
    if not {"signal_type", "signal_str"} <= set(reader.fieldnames or ()):
        raise InputError(f"{path}: expected the columns {', '.join(COLUMNS[:2])} of an exchange's CSV")
    for row in reader:
        yield (
            f"line {reader.line_num}",
            TYPES.get((row["signal_type"] or "").lower()),
            (row["signal_str"] or "").strip(),
        )


def _json(path: Path, text: str) -> Iterator[Entry]:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise InputError(f"{path}: no JSON ({error})") from error
    rows = content.get("data") if isinstance(content, dict) else content
    if not isinstance(rows, list):
        raise InputError(f'{path}: expected {{"data": [{{"indicator", "type"}}, …]}}')
    for number, row in enumerate(rows, 1):
        kind, value = _of_row(row) if isinstance(row, dict) else (None, None)
        if not isinstance(kind, str) or not isinstance(value, str):
            raise InputError(f"{path}, entry {number}: expected indicator and type, or signal_type and signal_value")
        yield f"entry {number}", TYPES.get(kind.lower()), value.strip()


def _of_row(row: dict[str, Any]) -> tuple[Any, Any]:
    if "indicator" in row:
        return row.get("type"), row["indicator"]
    return row.get("signal_type"), row.get("signal_value", row.get("signal_str"))


def _hexadecimal(value: str) -> bool:
    return not set(value.lower()) - set("0123456789abcdef")
