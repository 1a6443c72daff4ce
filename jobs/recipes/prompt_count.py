"""How many root samples a run will have, in seconds: exactly where they are few, else by what the sources say of themselves."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from jobs.recipes.prompts import Roots
from schemas.prompt import LeftOut, Prompt
from stages.prompts.files import PromptFile
from stages.prompts.row_count import row_count

SECONDS = 2.0  # of counting by reading


@dataclass(frozen=True)
class PromptCount:
    """`items` root samples; `how` says how that is known: "counted", "estimated" or, where a source says nothing, "at least"."""

    items: int
    how: str


def prompt_count(roots: Roots, seconds: float = SECONDS) -> PromptCount:
    """Read for `seconds`; what is left after that counts as rows of which as many are admitted as so far."""
    end = time.monotonic() + seconds
    admitted, whole = 0, True
    for _ in roots:
        admitted += 1
        if time.monotonic() > end:
            whole = False
            break
    if whole:
        return PromptCount(admitted, "counted")
    read = sum(roots.counts.values())
    sizes = [_size(source) for source in roots.sources()]
    known = [size for size in sizes if size is not None]
    expected = round(sum(known) * admitted / max(1, read))
    expected = max(admitted, min(expected, roots.config.count or expected))
    if len(known) < len(sizes):
        return PromptCount(roots.config.count or expected, "at most" if roots.config.count else "at least")
    return PromptCount(expected, "estimated")


def _size(source: Iterable[Prompt | LeftOut]) -> int | None:
    """Of a file by its metadata or lines, of the grammar by the count it was asked for; None of sources that do not say."""
    if isinstance(source, PromptFile):
        return row_count(source.path)
    return getattr(source, "count", None) if isinstance(getattr(source, "count", None), int) else None
