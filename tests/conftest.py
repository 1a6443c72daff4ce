"""What several test files share."""

import os
from pathlib import Path

import pytest

import pipeline.engines  # noqa: F401  # before any test imports ray, which reads there and then whether it wants a token

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def pipelines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the tiny diffusion pipelines that tests ask for (`drawing.directory`)."""
    return tmp_path_factory.mktemp("pipelines")
