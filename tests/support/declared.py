"""Run Python as in an environment that has what the project declares and nothing else."""

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
EXTRAS = ("export", "hashes", "labellers", "s3", "serve")  # what .ci/setup asks for, without dev
HOOK = """\
import runpy, sys
blocked = set(sys.argv.pop(1).split(","))
class Hiding:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in blocked else self.finder.find_spec(name, path, target)
    def __getattr__(self, name):
        return getattr(self.finder, name)
sys.meta_path[:] = [Hiding(finder) for finder in sys.meta_path]
sys.argv = sys.argv[1:]
sys.path[0] = "."
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def declared(extras: tuple[str, ...] = EXTRAS) -> set[str]:
    """Names of the installed distributions that the project's dependencies and these extras ask for, and theirs in turn."""
    found: set[str] = set()
    waiting: list[tuple[str, tuple[str, ...]]] = [("hazmat", extras)]
    waiting += [(name, ()) for name in weights()]
    seen = set()
    while waiting:
        name, wanted = waiting.pop()
        if (name, wanted) in seen:
            continue
        seen.add((name, wanted))
        try:
            asked = distribution(name).requires or []
        except PackageNotFoundError:  # for another platform or version of Python
            continue
        found.add(canonicalize_name(name))
        if name in weights():
            continue  # they are installed without what they ask for
        for requirement in map(Requirement, asked):
            if requirement.marker is None or any(
                requirement.marker.evaluate({"extra": extra}) for extra in ("", *wanted)
            ):
                waiting.append((requirement.name, tuple(sorted(requirement.extras))))
    return found


def weights() -> list[str]:
    """The packages that carry weights."""
    lines = (line.partition("#")[0].strip() for line in (ROOT / ".ci" / "weights.txt").read_text().splitlines())
    return [line.partition("==")[0] for line in lines if line]


def undeclared() -> set[str]:
    """Top-level modules of installed distributions that the project does not declare."""
    allowed = declared() | {"pip", "setuptools"}
    return {
        module
        for module, dists in packages_distributions().items()
        if not {canonicalize_name(name) for name in dists} & allowed and module.isidentifier()
    }


def run_declared(script: str, *arguments: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """Run a file of the repository with these arguments, where nothing undeclared can be imported; `timeout` in seconds."""
    command = [sys.executable, "-c", HOOK, ",".join(sorted(undeclared())), script, *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env=environment, timeout=timeout, check=False
    )
