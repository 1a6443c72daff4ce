"""A run that every command was at: labelled, sharded, a classifier trained and judged on it."""

from functools import cache
from pathlib import Path

from jobs import evaluate
from tests.support.commands import call
from tests.support.labelled_run import labelled_run, trained_model


@cache
def finished_run() -> Path:
    """Its folder. Damage a copy."""
    trained_model("text")
    url = labelled_run().url
    assert call(evaluate, url, "--classifiers", "text", "--workers", "1") == 0
    return Path(url)
