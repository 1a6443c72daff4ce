#!/usr/bin/env python3
"""Put one fault after the other into a copy of the repository, and see that a named test fails with each.

    make mutate       (python -m bench.mutate [--only TEXT])

The list is `mutations.toml`. Prints what survived, writes bench/results/mutate.json, and exits with 1 where any fault did.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.report import report
from schemas.errors import InputError

ROOT = Path(__file__).parents[2]
LIST = Path(__file__).parent / "mutations.toml"
LIMIT = 300  # seconds that the tests of one group may take: a fault may well make one run for ever


@dataclass(frozen=True)
class Mutation:
    """`old` becomes `new` in `file`; one of `tests` has to fail then."""

    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def applied(self, text: str) -> str:
        """Raises InputError unless `old` stands in it exactly once: then the list is out of date."""
        if text.count(self.old) != 1:
            raise InputError(
                f"{LIST.name}: {self.old!r} stands {text.count(self.old)} times in {self.file}, expected once"
            )
        return text.replace(self.old, self.new)


def mutations() -> Iterator[Mutation]:
    """All of the list, in its order."""
    for group in tomllib.loads(LIST.read_text())["group"]:
        for old, new in group["faults"]:
            yield Mutation(group["file"], old, new, tuple(group["tests"]))


def copied(folder: Path) -> Path:
    """The tracked files and those that git would add, in a new folder."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True
    ).stdout.decode().split("\0")  # fmt: skip
    copy = folder / "copy"
    for name in names:
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    return copy


def fails(copy: Path, tests: tuple[str, ...]) -> bool:
    """Whether one of the tests does (or none ends in time). Raises InputError where pytest finds none."""
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    try:
        done = subprocess.run(
            command, cwd=copy, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return True
    if done.returncode not in (0, 1, 2):  # 2: a fault broke the import of a test
        output = f"{done.stdout[-500:]}{done.stderr[-500:]}"
        raise InputError(f"pytest {' '.join(tests)} ended with {done.returncode}:\n{output}")
    return done.returncode != 0


def main() -> None:
    """Every group's tests as they are, then with each fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="faults in files whose name holds this")
    args = parser.parse_args()
    wanted = [each for each in mutations() if args.only in each.file]
    survived = []
    with tempfile.TemporaryDirectory() as folder:
        copy = copied(Path(folder))
        sound: set[tuple[str, ...]] = set()
        for number, each in enumerate(wanted):
            if each.tests not in sound:
                if fails(copy, each.tests):
                    raise InputError(f"{' '.join(each.tests)}: fails as it is; mend that first")
                sound.add(each.tests)
            path = copy / each.file
            text = path.read_text()
            path.write_text(each.applied(text))
            caught = fails(copy, each.tests)
            path.write_text(text)
            verdict = "caught  " if caught else "SURVIVED"
            print(f"{number + 1:>3} {verdict} {each.file}: {each.new or 'without ' + each.old}", flush=True)
            if not caught:
                survived.append({"file": each.file, "old": each.old, "new": each.new})
    if not args.only:
        report("mutate", {"mutations": len(wanted), "caught": len(wanted) - len(survived), "survived": survived})
    sys.exit(1 if survived else 0)


if __name__ == "__main__":
    main()
