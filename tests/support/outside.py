"""Python as it is for those who have no checkout: this repository is on no path, and of the packages only some may be there."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def installed() -> Path:
    """Where the packages of this environment lie."""
    import numpy

    return Path(numpy.__file__).parents[1]


def only(packages: Sequence[str], folder: Path) -> Path:
    """A folder in which these top-level packages can be imported, and no others."""
    folder.mkdir()
    for name in packages:
        (folder / name).symlink_to(installed() / name)
    return folder


def run_outside(script: str, packages: Path, *arguments: object) -> str:
    """What the script prints, run by a Python that sees the standard library and `packages` alone."""
    before = (
        f"import sys; sys.path.insert(0, {str(packages)!r}); sys.argv[1:] = {[str(each) for each in arguments]!r}\n"
    )
    command = [sys.executable, "-I", "-S", "-c", before + script]
    ran = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=280, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    return ran.stdout
