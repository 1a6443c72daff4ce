"""Check finished pictures before anything keeps them, with the operator's own check and list of hashes (DESIGN section 6)."""

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import ClassVar

import numpy as np

from pipeline.stage import BadSamplesError, Stage, Step
from schemas.errors import InputError
from schemas.sample import Pixels, Sample
from stages.signature.hash_lists import HashList, read_hash_list
from stages.signature.pdq import QUALITY, pdq
from stages.signature.perceptual import phash

Check = Callable[[Sequence[Pixels]], Sequence[bool]]
"""The operator's function: pictures, uint8 [height, width, 3], to whether each must go."""

# Of two unrelated pictures, a fraction of 3e-10 is as near by chance (binomial, 64 fair bits): 3 in 10,000 pictures
# for a list of a million. Encoding and scaling move a picture by 0 to 6 bits.
DISTANCE = 8


@dataclass(frozen=True, kw_only=True)
class FinishedCheck(Stage):
    """Drop every picture that `check` refuses, of which only a count is left; quarantine every picture that is near a hash of
    `hash_list`: its row says by which kind of hash, and nobody is shown the picture, which is kept nowhere.

    `check` is MODULE:FUNCTION of type `Check`, importable where workers run. `hash_list` is a file as `hash_lists` reads it, with
    PDQ hashes or 64-bit pHashes. Raises InputError where one of them cannot be had.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"pixels"})
    check: str
    hash_list: str

    def revision(self) -> str:
        """Digest of the list and of the check's source file; refuses what cannot be read or imported."""
        listed_pictures(self.hash_list)
        source = importlib.import_module(find_check(self.check).__module__).__file__
        files = [Path(self.hash_list), *([Path(source)] if source else [])]
        return blake2b(b"".join(file.read_bytes() for file in files), digest_size=16).hexdigest()

    def open(self) -> Step:
        """Import the check and read the list."""
        check, listed = find_check(self.check), listed_pictures(self.hash_list)

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            pictures = [sample.pixels for sample in batch if sample.pixels is not None]
            near = {sample.key: listed_by(sample.pixels, listed) for sample in batch if sample.pixels is not None}
            if any(near.values()):
                reasons = {key: f"{kind} near an entry of the list of hashes" for key, kind in near.items() if kind}
                raise BadSamplesError(reasons)
            refused = check(pictures)
            if len(refused) != len(pictures):
                raise ValueError(f"{self.check} gave {len(refused)} answers for {len(pictures)} pictures")
            yield from (sample for sample, gone in zip(batch, refused, strict=True) if not gone)

        return step


def listed_by(picture: Pixels, listed: HashList) -> str | None:
    """Which kind of hash says that the picture, uint8 [height, width, 3], is on the list; None where none does."""
    if len(listed.phash):
        own = phash(picture, side=8).view(">u8")
        if (np.bitwise_count(listed.phash ^ own) <= DISTANCE).any():
            return "phash"
    if len(listed.pdq):
        code, quality = pdq(picture)
        if quality >= QUALITY and len(listed.pdq.within(code)):
            return "pdq"
    return None


def listed_pictures(path: str) -> HashList:
    """The list. Raises InputError for one of MD5 alone: what is drawn here was no file before."""
    listed = read_hash_list(Path(path))
    if not len(listed.phash) + len(listed.pdq):
        raise InputError(f"--hash-list {path} holds MD5 alone, which know files; pictures drawn here need PDQ or pHash")
    return listed


def find_check(name: str) -> Check:
    """The operator's function. Raises InputError."""
    module, _, function = name.partition(":")
    try:
        check = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(
            f"the check of finished pictures {name!r}: expected MODULE:FUNCTION that can be imported ({error})"
        ) from error
    if not callable(check):
        raise InputError(f"the check of finished pictures {name!r} is no function")
    return check  # type: ignore[no-any-return]  # what an operator wrote has no type that we could know
