"""The line one watches while units are committed."""

import logging
from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from schemas.manifest import Receipt

_log = logging.getLogger("hazmat")
"""Progress is shown at its level INFO, where commands put it unless --quiet."""


def watched(receipts: Iterable[Receipt], units: int, done: int, what: str = "generating") -> Iterator[Receipt]:
    """Pass receipts through, showing units, images per second, quarantined and time left on stderr."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("units · {task.fields[rate]} · {task.fields[bad]} quarantined ·"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Progress(
        *columns, console=Console(stderr=True), disable=not _log.isEnabledFor(logging.INFO), refresh_per_second=4
    ) as progress:
        task = progress.add_task(what, total=units, completed=done, rate="starting", bad=0)
        pictures = bad = 0
        for receipt in receipts:
            pictures += receipt.samples
            bad += receipt.quarantined
            elapsed = progress.tasks[0].elapsed or 1e-9
            progress.update(task, advance=1, rate=f"{pictures / elapsed:.1f} images/s", bad=bad)
            yield receipt
