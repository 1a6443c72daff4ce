"""The shell blocks of README, CONTRIBUTING and docs, and what their lines call."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARK = re.compile(r"<!-- not run: (.+) -->\n\Z")
COMMAND = re.compile(r"^    (?:\$ )?(?:jobs/\w+\.py|make [a-z-]+|hazmat \w+|python3? |ray |git |pip )", re.MULTILINE)


@dataclass(frozen=True)
class ShellBlock:
    """`why_not_run` is what the comment before it says, if there is one."""

    page: str
    line: int
    text: str
    why_not_run: str | None

    @property
    def commands(self) -> Iterator[list[str]]:
        """The words of each command, without comments."""
        for line in self.text.replace("\\\n", " ").replace("\n    ", " ").splitlines():
            words = shlex.split(line, comments=True)
            while words:
                end = words.index("&&") if "&&" in words else len(words)
                yield words[:end]
                words = words[end + 1 :]


def shell_blocks(page: Path) -> list[ShellBlock]:
    """In their order."""
    text, found = page.read_text(), []
    for fence in FENCE.finditer(text):
        if fence[1] in ("bash", "sh", "console", "shell"):
            mark = MARK.search(text[: fence.start()])
            line = text.count("\n", 0, fence.start()) + 2
            found.append(ShellBlock(page.relative_to(ROOT).as_posix(), line, fence[2], mark and mark[1]))
    return found


def made(words: list[str]) -> list[list[str]]:
    """The commands that `make …` would call, with its variables in place. Raises CalledProcessError for no such target."""
    called = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [shlex.split(line)[1:] for line in called.splitlines() if line.startswith(".venv/bin/python jobs/")]
