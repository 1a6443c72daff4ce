"""A run that every command was at: labelled, sharded, a classifier trained and judged on it."""

import sys
from functools import cache
from pathlib import Path
from unittest.mock import patch

from jobs import evaluate
from tests.support.labelled_run import labelled_run, trained_model


@cache
def finished_run() -> Path:
    """Its folder. Damage a copy."""
    trained_model("text")
    url = labelled_run().url
    with patch.object(sys, "argv", ["evaluate.py", url, "--classifiers", "text", "--workers", "1"]):
        assert evaluate.main() == 0
    return Path(url)
