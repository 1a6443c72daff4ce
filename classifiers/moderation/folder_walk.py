"""Every file below a folder, linked folders included, each once; what cannot be entered is named."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Entry:
    """`name` below the folder, as the operating system gives it; `problem` or `passed` is why there is no file to look at."""

    name: str
    problem: str | None = None
    passed: str | None = None


def files_below(folder: Path) -> list[Entry]:
    """Sorted by the names' bytes. Links to folders are followed, unless to one that is walked anyway or that holds this one."""
    above = {_identity(parent) for parent in folder.resolve().parents}
    seen = {_identity(folder)}
    entries: list[Entry] = []
    waiting = [folder]
    while waiting:
        links: list[Path] = []
        for top in waiting:
            entries += _walked(folder, top, seen, links)
        waiting = []
        for link in sorted(
            links, key=os.fsencode
        ):  # after all real folders: what is below is judged under its own name
            identity = _identity(link)
            if identity in above or identity in seen:
                entries.append(
                    Entry(_name(folder, link), passed="a link to a folder that is walked already, or holds it")
                )
            else:
                seen.add(identity)
                waiting.append(link)
    return sorted(entries, key=lambda entry: os.fsencode(entry.name))


def _walked(folder: Path, top: Path, seen: set[tuple[int, int]], links: list[Path]) -> Iterator[Entry]:
    problems: list[OSError] = []
    for at, below, names in os.walk(top, onerror=problems.append):
        here = Path(at)
        links += [here / name for name in below if (here / name).is_symlink()]
        # os.walk goes on into what is left in `below`: not into links, nor where a link has led before
        below[:] = [name for name in below if not (here / name).is_symlink() and _identity(here / name) not in seen]
        seen.update(_identity(here / name) for name in below)
        yield from (_entry(folder, here / name) for name in names)
    for error in problems:
        yield Entry(_name(folder, Path(error.filename)), problem=f"the folder cannot be listed ({error.strerror})")


def _entry(folder: Path, path: Path) -> Entry:
    name = _name(folder, path)
    try:
        mode = path.stat().st_mode
    except OSError as error:  # also a link to nothing, and a loop of links
        reason = f"it cannot be looked at ({error.strerror})"
        return Entry(name, passed="a link to nothing") if isinstance(error, FileNotFoundError) else Entry(name, reason)
    return Entry(name) if stat.S_ISREG(mode) else Entry(name, passed="neither a file nor a folder")


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _name(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()
