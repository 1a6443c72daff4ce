"""Digests of large files, remembered between commands and workers: FLUX is 34 GB, and hashing reads about 1 GB a second.

An entry is found by what the file system says of every file (path, size, inode, times of change). The time of the inode's change
cannot be set by a program, so bytes that were exchanged under the same size and time of modification are hashed again.
"""

import os
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path


@dataclass
class Hashing:
    """Seconds that this process spent on digests it did not know."""

    seconds: float = 0.0


HASHING = Hashing()
SMALLEST = 32 << 20
"""Bytes under which hashing takes less than a blink, and nothing is remembered."""
SETTLED = 2.0
"""Seconds: a file that changed more recently may change again within the clock's grain."""


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/hazmat/digests`, by default below `~/.cache`. It may be deleted at any time."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hazmat" / "digests"


def remembered(files: Sequence[Path], compute: Callable[[], str]) -> str:
    """What `compute` gave for these very files before, else what it gives now.

    Args:
        files: All files whose bytes decide the answer.
        compute: Reads them; returns hexadecimal digits.
    """
    facts = [(path, path.stat()) for path in files]
    if sum(stat.st_size for _, stat in facts) < SMALLEST:
        return _timed(compute)
    known = "\n".join(
        f"{path.absolute()} {stat.st_size} {stat.st_dev} {stat.st_ino} {stat.st_mtime_ns} {stat.st_ctime_ns}"
        for path, stat in facts
    )
    entry = cache_folder() / blake2b(known.encode(errors="surrogateescape"), digest_size=16).hexdigest()
    with suppress(OSError, UnicodeDecodeError):
        if re.fullmatch(r"[0-9a-f]{32}", digest := entry.read_text()):
            return digest
    digest = _timed(compute)
    if time.time() - max(max(stat.st_mtime, stat.st_ctime) for _, stat in facts) > SETTLED:
        _write(entry, digest)
    return digest


def _timed(compute: Callable[[], str]) -> str:
    start = time.perf_counter()
    digest = compute()
    HASHING.seconds += time.perf_counter() - start
    return digest


def _write(entry: Path, digest: str) -> None:
    """Whole or not at all. A cache that cannot be written costs time and nothing else."""
    scratch = entry.with_suffix(f".{os.getpid()}")
    with suppress(OSError):
        entry.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        scratch.write_text(digest)
        scratch.replace(entry)
