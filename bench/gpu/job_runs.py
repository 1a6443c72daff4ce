"""Hazmat's own command on the same weights, as a user starts it, and what its files say of the time."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.rounds.control_files import read_receipt
from pipeline.storage.open_store import open_store

REPOSITORY = Path(__file__).resolve().parents[2]
UNIT = 64  # pictures of a unit, as the recipes cut them
LEAST_UNITS = 3  # one that ends the start, and two that are timed
ROUND = "rounds/000-generate"
DRAWING = "diffusion"  # the stage; what the check of finished pictures drops behind it was drawn too


@dataclass(frozen=True)
class JobRun:
    """A finished job: `begun` and `ended` are unix seconds of its steady part, from the first receipt to the last.

    `before_first_unit`: seconds from the command until its first unit was taken up, without loading; `whole` pictures per
    second have the start in.
    """

    images_per_second: float
    begun: float
    ended: float
    before_first_unit: float
    whole: float
    summary: dict[str, Any]


def job(recipe: str, folder: Path, out: Path, images: int, *flags: str) -> JobRun:
    """Draw about `images` pictures with one worker. Raises CalledProcessError with what the command said."""
    units = max(LEAST_UNITS, round(images / UNIT))
    called = time.time()
    summary = command(
        *("generate.py", "--out", str(out), "--recipe", recipe, "--model", str(folder), "--restricted"),
        *("--count", str(units * UNIT), "--workers", "1", *flags),
    )
    store = open_store(str(out), private=True)
    files = sorted(out.joinpath(ROUND, "receipts").iterdir(), key=lambda file: file.stat().st_mtime)
    written = [file.stat().st_mtime for file in files]
    first, *others = (read_receipt(store, f"{ROUND}/receipts/{file.name}") for file in files)
    drawn = sum(stage.given for receipt in others for stage in receipt.stages if stage.stage == DRAWING)
    return JobRun(
        images_per_second=drawn / (written[-1] - written[0]),
        begun=written[0],
        ended=written[-1],
        before_first_unit=written[0] - sum(stage.seconds + stage.opening for stage in first.stages) - called,
        whole=float(summary["images_per_second"]),
        summary=summary,
    )


def command(script: str, *arguments: str, on_card: bool = True) -> dict[str, Any]:
    """The summary that one of the commands prints last; without `on_card` it sees no card."""
    hidden = {} if on_card else {"CUDA_VISIBLE_DEVICES": ""}
    words = [sys.executable, str(REPOSITORY / "jobs" / script), *arguments, "--json", "--quiet"]
    run = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, **hidden})
    summary: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return summary
