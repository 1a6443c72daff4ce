"""What several test files share."""

import os
import re
from functools import cache
from pathlib import Path

import pytest

import pipeline.engines  # noqa: F401  # before any test imports ray, which reads there and then whether it wants a token

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def pipelines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the tiny diffusion pipelines that tests ask for (`drawing.directory`)."""
    return tmp_path_factory.mktemp("pipelines")


@pytest.hookimpl(tryfirst=True)  # before xdist's own, which reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Under `-n`: a file stays in one process, and all files that start Ray in one, so that no two clusters share the cores."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item.path)))


@cache
def _group(path: Path) -> str:
    return "ray" if re.search(r"\bray\b", path.read_text()) else str(path)
