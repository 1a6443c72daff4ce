"""What one can watch: a progress bar, TensorBoard's event files, and a plain Parquet log of the same figures."""

import math
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pipeline.pack import parquet_bytes
from pipeline.storage.store import Store
from pipeline.training.process_group import ProcessGroup

EVERY = 20  # steps between two rows of the log
WRITTEN_EVERY = 1.0  # seconds, at most: of a small head an epoch takes less than writing a file


class TrainingLog:
    """`FOLDER/log.parquet` and `FOLDER/tensorboard/`, both of one training, and a bar on stderr where someone is there to see it.

    A row of the log: epoch, step (of the whole training), `split` (train: means since the last row; val: of the epoch), rows a
    second, learning rate, and the losses by their names. Only the leading worker writes.
    """

    def __init__(self, store: Store, folder: str, group: ProcessGroup, steps: int, rows: list[dict[str, Any]]) -> None:
        self.rows = rows  # of what was trained before a kill; a checkpoint holds them
        self._store, self._folder, self._leads = store, folder, group.is_main_process
        self._sums: dict[str, float] = {}
        self._count = self._seen = 0
        self._since = self._written = time.monotonic()
        self._bar = _bar(steps, group)
        self._board: Any = None

    def begin(self, step: int) -> None:
        """Show the bar, from `step` on; TensorBoard forgets what a killed training wrote beyond it."""
        if self._leads:
            from tensorboardX import SummaryWriter  # type: ignore[import-untyped]  # it has no stubs

            folder = Path(self._store.url) / self._folder / "tensorboard"
            if not step:
                shutil.rmtree(folder, ignore_errors=True)  # of another training
            self._board = SummaryWriter(str(folder), purge_step=step if step else None)
        self._since = time.monotonic()
        self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=step)

    def step(self, epoch: int, step: int, rate: float, losses: Mapping[str, float], rows: int) -> None:
        """After every step."""
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count, self._seen = self._count + 1, self._seen + rows
        self._bar.update(self._bar.task_ids[0], completed=step)
        if step % EVERY == 0:
            self.flush(epoch, step, rate)

    def flush(self, epoch: int, step: int, rate: float) -> None:
        """Write the means since the last row."""
        if not self._count:
            return
        speed = self._seen / max(time.monotonic() - self._since, 1e-9)
        means = {name: value / self._count for name, value in self._sums.items()}
        self._row(epoch, step, "train", {"rate": rate, "rows_per_second": speed, **means})
        self._sums, self._count, self._seen, self._since = {}, 0, 0, time.monotonic()
        shown = f"epoch {epoch + 1} · loss {means.get('loss', math.nan):.4f} · {speed:.0f} rows/s"
        self._bar.update(self._bar.task_ids[0], description=shown)

    def validated(self, epoch: int, step: int, losses: Mapping[str, float]) -> None:
        """After every epoch."""
        self._row(epoch, step, "val", dict(losses))
        if self._leads:
            text = "  ".join(f"{name} {value:.4f}" for name, value in losses.items())
            self._bar.console.print(f"epoch {epoch + 1}: {text}", highlight=False)
            if time.monotonic() - self._written > WRITTEN_EVERY:
                self.write()
        self._since = time.monotonic()

    def write(self) -> None:
        """The log as it stands."""
        self._written = time.monotonic()
        if self._leads and self.rows:
            names = list(dict.fromkeys(name for row in self.rows for name in row))
            table = pa.table({name: [row.get(name) for row in self.rows] for name in names})
            self._store.write(f"{self._folder}/log.parquet", parquet_bytes(table), durable=False)

    def end(self) -> None:
        """Take the bar away, write what is left."""
        self._bar.stop()
        self.write()
        if self._board is not None:
            self._board.close()

    def _row(self, epoch: int, step: int, split: str, figures: dict[str, float]) -> None:
        self.rows.append({"epoch": epoch, "step": step, "split": split, **figures})
        if self._board is not None:
            for name, value in figures.items():
                self._board.add_scalar(f"{split}/{name}", value, step)


def _bar(steps: int, group: ProcessGroup) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("steps ·"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    quiet = group.size > 1 and not sys.stderr.isatty()  # a worker's bar would come through Ray as line after line
    bar = Progress(
        *columns, console=Console(stderr=True), refresh_per_second=4, disable=quiet or not group.is_main_process
    )
    bar.add_task("training", total=steps)
    return bar
