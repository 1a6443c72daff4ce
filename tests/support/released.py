"""Releases of small runs, for tests."""

import shutil
from dataclasses import replace
from pathlib import Path

from jobs import generate, publish
from pipeline.rounds.existing_run import existing_run, write_facts
from tests.support.commands import call

RENDER = ("--recipe", "render", "--engine", "local", "-q")


def small_run(folder: Path, count: int = 12) -> Path:
    """A run of drawn scenes, which was never sharded."""
    run = folder / "run"
    assert call(generate, "--out", run, "--count", count, *RENDER) == 0
    return run


def released(run: Path | str, tier: str, folder: Path, *more: object) -> Path:
    """What `jobs/publish.py` makes of it."""
    assert call(publish, run, "--tier", tier, "--out", folder, "-q", *more) == 0
    return folder


def restricted(run: Path, to: Path) -> Path:
    """A copy of the run that says that it is restricted."""
    shutil.copytree(run, to)
    store, facts = existing_run(str(to))
    write_facts(store, replace(facts, restricted=True), {})
    return to
