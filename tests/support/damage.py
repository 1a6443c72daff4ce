"""Kinds of damage to a file of a run, as disks, people and attackers do it; and what `jobs/verify.py` says of a run then."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from jobs.recipes.named import run_with_recipe
from pipeline.dataset.audit import Audit
from pipeline.dataset.verify import verify_run
from schemas.errors import HazmatError

Damage = Callable[[Path, Path], None]
"""Damages the file; the second path is a folder outside of the run."""


def _as(change: Callable[[bytes], bytes]) -> Damage:
    def damage(file: Path, outside: Path) -> None:
        data = change(file.read_bytes())
        file.unlink()  # a hard link to the whole run's file must not be written through
        file.write_bytes(data)

    return damage


def _bit(at: float) -> Damage:
    def turn(data: bytes) -> bytes:
        place = min(int(at * len(data)), len(data) - 1)
        return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]

    return _as(turn)


def _link(file: Path, outside: Path) -> None:
    same = outside / "the same bytes"
    shutil.copy(file, same)
    file.unlink()
    file.symlink_to(same)


def _folder(file: Path, outside: Path) -> None:
    file.unlink()
    file.mkdir()


def _twin(file: Path, outside: Path) -> None:
    others = sorted(path for path in file.parent.iterdir() if path.suffix == file.suffix and path != file)
    mine = file.read_bytes()
    data = next((other for path in others if (other := path.read_bytes()) != mine), b"of another run")
    file.unlink()
    file.write_bytes(data)


DAMAGE: dict[str, Damage] = {
    "empty": _as(lambda data: b""),
    "half": _as(lambda data: data[: len(data) // 2]),
    "without its end": _as(lambda data: data[:-1]),
    "zeros": _as(lambda data: bytes(len(data))),
    "null": _as(lambda data: b"null"),
    "an object": _as(lambda data: b"{}"),
    "a list": _as(lambda data: b"[]"),
    "a deep list": _as(lambda data: b"[" * 100_000),
    "noise": _as(lambda data: bytes((place * 97 + 31) % 256 for place in range(len(data)))),
    "a bit at its beginning": _bit(0.0),
    "a bit in its middle": _bit(0.5),
    "more at its end": _as(lambda data: data + b"x"),
    "its neighbour": _twin,
    "gone": lambda file, outside: file.unlink(),
    "a link outside": _link,
    "a folder": _folder,
}


def copy_of(run: Path, into: Path) -> Path:
    """The run again, in no time: hard links, which a damage breaks before it writes."""
    shutil.copytree(run, into, copy_function=os.link)
    return into


def verified(run: Path) -> Audit | str:
    """All that `jobs/verify.py` finds, or the one line with which it ends."""
    try:
        store, _, recipe = run_with_recipe(str(run))
        return verify_run(store, recipe.grouping)
    except HazmatError as error:
        return str(error)


def problems(run: Path) -> str:
    """What is wrong with the run, as text."""
    found = verified(run)
    return found if isinstance(found, str) else "\n".join(found.problems)
