"""Every command can be called as the README writes it."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMANDS = sorted(path for path in (ROOT / "jobs").glob("*.py") if '__name__ == "__main__"' in path.read_text())


def git_mode(path: Path) -> str | None:
    """The mode that git keeps of a file, and so gives it in every clone; None where there is no git or it keeps no such file."""
    try:
        found = subprocess.run(
            ["git", "ls-files", "--stage", str(path)], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.split()[0] if found.stdout else None


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.name)
def test_a_command_is_executable_in_every_clone(path: Path) -> None:
    assert path.read_text().startswith("#!/usr/bin/env python\n")
    assert git_mode(path) in ("100755", None)
    assert os.access(path, os.X_OK)


def test_the_commands_of_the_readme_are_among_them() -> None:
    assert {"attack", "evaluate", "generate", "harden", "label", "query", "train"} <= {path.stem for path in COMMANDS}
