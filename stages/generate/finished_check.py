"""Check finished pictures before anything keeps them, with the operator's own check and list of hashes (DESIGN section 6)."""

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from pipeline.stage import Stage, Step
from schemas.errors import InputError
from schemas.sample import Pixels, Sample
from stages.signature.perceptual import phash

Check = Callable[[Sequence[Pixels]], Sequence[bool]]
"""The operator's function: pictures, uint8 [height, width, 3], to whether each must go."""
Hashes = npt.NDArray[np.uint64]

# Of two unrelated pictures, a fraction of 3e-10 is as near by chance (binomial, 64 fair bits): 3 in 10,000 pictures
# for a list of a million. Encoding and scaling move a picture by 0 to 6 bits.
DISTANCE = 8


@dataclass(frozen=True, kw_only=True)
class FinishedCheck(Stage):
    """Drop every picture that `check` refuses or that is near a hash of `hash_list`; only a count is left of it.

    `check` is MODULE:FUNCTION of type `Check`, importable where workers run. `hash_list` is a text file of 64-bit perceptual hashes
    (`imagehash.phash`), 16 hex digits a line, `#` begins a comment. Raises InputError where one of them cannot be had.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"pixels"})
    check: str
    hash_list: str

    def revision(self) -> str:
        """Digest of the list and of the check's source file; refuses what cannot be read or imported."""
        read_hashes(Path(self.hash_list))
        source = importlib.import_module(find_check(self.check).__module__).__file__
        files = [Path(self.hash_list), *([Path(source)] if source else [])]
        return blake2b(b"".join(file.read_bytes() for file in files), digest_size=16).hexdigest()

    def open(self) -> Step:
        """Import the check and read the list."""
        check, listed = find_check(self.check), read_hashes(Path(self.hash_list))

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            pictures = [sample.pixels for sample in batch if sample.pixels is not None]
            refused = check(pictures)
            if len(refused) != len(pictures):
                raise ValueError(f"{self.check} gave {len(refused)} answers for {len(pictures)} pictures")
            for sample, picture, gone in zip(batch, pictures, refused, strict=True):
                if not gone and not is_listed(picture, listed):
                    yield sample

        return step


def is_listed(picture: Pixels, listed: Hashes) -> bool:
    """Whether the picture, uint8 [height, width, 3], is within `DISTANCE` bits of a hash of the list."""
    own = phash(picture, side=8).view(">u8")
    return bool((np.bitwise_count(listed ^ own) <= DISTANCE).any())


def find_check(name: str) -> Check:
    """The operator's function. Raises InputError."""
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(
            f"the check of finished pictures {name!r}: expected MODULE:FUNCTION that can be imported ({error})"
        ) from error
    if not callable(found):
        raise InputError(f"the check of finished pictures {name!r} is no function")
    return found  # type: ignore[no-any-return]  # what an operator wrote has no type that we could know


@lru_cache
def read_hashes(path: Path) -> Hashes:
    """The list as uint64 [n]. Raises InputError with the line at fault, and for an empty list, which would check nothing."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the list of hashes {path} cannot be read ({error})") from error
    hashes = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if text:
            try:
                hashes.append(int(text, 16) if len(text) == 16 else int("not 16 digits"))
            except ValueError as error:
                raise InputError(f"{path}, line {number}: expected 16 hex digits of a 64-bit pHash") from error
    if not hashes:
        raise InputError(f"the list of hashes {path} holds none, so it would check nothing")
    return np.array(hashes, dtype=np.uint64)
