"""What leaves the server: masked texts and blurred pictures, until a person asks, which the audit log knows before they see."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

import numpy as np
from PIL import Image

from classifiers.review_app.exposure import Exposure
from classifiers.review_app.people import AppPerson
from classifiers.serving.limits import RequestError
from pipeline.rounds.audit_log import append
from pipeline.storage.image_codec import blurred, decode, encode
from pipeline.storage.store import Store
from schemas.sample import Pixels

BY = "jobs/app.py"
AT_ONCE = 96  # samples of one reveal: two pages
REMEMBERED = 20_000  # keys a person may see before they must ask again
THUMBNAIL, WHOLE = 256, 768  # pixels of the longer side
GAIN = 8  # a difference of 2/255 is seen from 16/255 on


@dataclass
class Reveals:
    """Who has asked to see what since the app started. After a restart everything is masked again."""

    store: Store
    exposure: Exposure
    shown: dict[str, dict[str, None]] = field(default_factory=dict)  # keys in the order asked for, by person
    lock: threading.Lock = field(default_factory=threading.Lock)

    def reveal(self, person: AppPerson, keys: Sequence[str], why: str) -> None:
        """From now on `person` may see these. Raises RequestError where they have seen enough for now."""
        with self.lock:
            fresh = [key for key in dict.fromkeys(keys) if key not in self.shown.get(person.name, {})]
            if len(keys) > AT_ONCE:
                raise RequestError(413, "too_many", f"at most {AT_ONCE} samples are revealed at once")
            if not fresh:
                return
            self.exposure.check(person.name, len(fresh))
            append(self.store, "reveal", {"keys": fresh, "question": why}, by=BY, person=person.name)
            self.exposure.saw(person.name, len(fresh))
            own = self.shown.setdefault(person.name, {})
            own.update(dict.fromkeys(fresh))
            for key in list(own)[: max(0, len(own) - REMEMBERED)]:
                del own[key]

    def hide(self, person: AppPerson, keys: Sequence[str]) -> None:
        """Mask these again; to see them once more is another entry in the log."""
        with self.lock:
            for key in keys:
                self.shown.get(person.name, {}).pop(key, None)

    def may_see(self, person: AppPerson, key: str) -> bool:
        """Whether this person has asked for it."""
        return key in self.shown.get(person.name, {})


def masked_text(text: str) -> str:
    """How long a text is, and nothing that stands in it."""
    words = len(text.split())
    return f"{words} {'word' if words == 1 else 'words'}, hidden"


def picture_of(store: Store, row: Mapping[str, Any], *, clear: bool, side: int = THUMBNAIL) -> bytes:
    """PNG of at most `side` pixels; blurred beyond recognition unless `clear`. Raises RequestError (404) without a picture."""
    pixels = _pixels(store, row)
    return encode(_sized(pixels if clear else blurred(pixels), side if clear else THUMBNAIL), "png")


def difference_of(store: Store, row: Mapping[str, Any], other: Mapping[str, Any]) -> bytes:
    """PNG of what was changed, `GAIN` times as large, around grey. Raises RequestError where the pictures have other sizes."""
    one, two = _pixels(store, row), _pixels(store, other)
    if one.shape != two.shape:
        raise RequestError(409, "other_size", f"the pictures have other sizes: {one.shape[:2]} and {two.shape[:2]}")
    change = GAIN * (one.astype(np.int16) - two.astype(np.int16)) + 128
    return encode(_sized(np.clip(change, 0, 255).astype(np.uint8), WHOLE), "png")


def word_changes(before: str, after: str) -> list[tuple[str, str]]:
    """The later text in pieces: (`same`, `new` or `gone`, words)."""
    one, two = before.split(), after.split()
    pieces: list[tuple[str, str]] = []
    for kind, a, b, c, d in SequenceMatcher(None, one, two, autojunk=False).get_opcodes():
        if kind == "equal":
            pieces.append(("same", " ".join(two[c:d])))
            continue
        pieces += [("gone", " ".join(one[a:b]))] if b > a else []
        pieces += [("new", " ".join(two[c:d]))] if d > c else []
    return pieces


def _pixels(store: Store, row: Mapping[str, Any]) -> Pixels:
    if row["tar"] is None or row["tar_size"] is None:
        raise RequestError(404, "no_picture", "this sample has no picture")
    return decode(store.read_range(row["tar"], row["tar_offset"], row["tar_size"]), row["format"])


def _sized(pixels: Pixels, side: int) -> Pixels:
    """Small pictures grow by whole numbers, so that what an attack did to pixels stays visible; large ones shrink."""
    longer = max(pixels.shape[:2])
    if longer * 2 <= side:
        return np.kron(pixels, np.ones((side // longer, side // longer, 1), np.uint8)).astype(np.uint8)
    if longer <= side:
        return pixels
    picture = Image.fromarray(pixels)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.asarray(picture)
