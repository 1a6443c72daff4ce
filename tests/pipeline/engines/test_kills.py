"""Kill -9 anything at any time; the same command brings the same bytes."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

GENERATE = Path(__file__).parents[3] / "jobs" / "generate.py"
FACTS = ("--recipe", "render", "--count", "3000", "--images-per-prompt", "2", "--seed", "5")
LIMIT = 300  # seconds for one call of the job

pytestmark = pytest.mark.slow


def start(out: Path, engine: str, workers: int = 1) -> "subprocess.Popen[str]":
    """The job in a process group of its own."""
    command = [
        sys.executable,
        str(GENERATE),
        "--out",
        str(out),
        *FACTS,
        "--engine",
        engine,
        "--workers",
        str(workers),
        "--json",
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)


def finish(out: Path, engine: str, workers: int = 1) -> dict[str, object]:
    """Run to the end; the summary."""
    job = start(out, engine, workers)
    printed, _ = job.communicate(timeout=LIMIT)
    assert job.returncode == 0, printed
    summary: dict[str, object] = json.loads(printed.splitlines()[-1])
    return summary


def receipts(out: Path) -> int:
    """Units done so far."""
    return len(list((out / "rounds" / "000-generate" / "receipts").glob("*.json")))


def wait_for(out: Path, count: int, job: "subprocess.Popen[str]") -> None:
    """Until `count` units are done."""
    deadline = time.monotonic() + LIMIT
    while receipts(out) < count:
        assert job.poll() is None, "the job ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest of a run that nothing disturbed, in one process."""
    return str(finish(tmp_path_factory.mktemp("reference"), "local")["digest"])


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_ray_with_any_number_of_workers_gives_the_same_digest(tmp_path: Path, reference: str, workers: int) -> None:
    assert finish(tmp_path, "ray", workers)["digest"] == reference


def test_a_killed_ray_worker_changes_nothing(tmp_path: Path, reference: str) -> None:
    job = start(tmp_path, "ray", 2)
    wait_for(tmp_path, 2, job)
    victims = [p for p in psutil.Process(job.pid).children(recursive=True) if "MapWorker" in " ".join(p.cmdline())]
    assert victims
    victims[0].send_signal(signal.SIGKILL)
    printed, _ = job.communicate(timeout=LIMIT)
    assert job.returncode == 0
    assert json.loads(printed.splitlines()[-1])["digest"] == reference


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_a_killed_driver_resumes_to_the_same_bytes(tmp_path: Path, reference: str, engine: str) -> None:
    job = start(tmp_path, engine)
    wait_for(tmp_path, 3, job)
    os.killpg(job.pid, signal.SIGKILL)
    job.communicate()
    done = receipts(tmp_path)
    summary = finish(tmp_path, engine)
    assert summary["digest"] == reference
    assert 3 <= done < int(str(summary["units"]))


def test_four_interruptions_at_random_moments_lose_and_double_no_row(tmp_path: Path, reference: str) -> None:
    chance = random.Random(7)
    for _ in range(4):
        job = start(tmp_path, "local")
        wait_for(tmp_path, min(receipts(tmp_path) + 1, 20), job)
        time.sleep(chance.uniform(0.0, 1.5))
        os.killpg(job.pid, signal.SIGKILL)
        job.communicate()
    assert finish(tmp_path, "local")["digest"] == reference
    files = sorted((tmp_path / "rounds" / "000-generate" / "raw").glob("*.parquet"))
    keys = [key for file in files for key in pq.read_table(file, columns=["key"])["key"].to_pylist()]
    assert len(keys) == len(set(keys)) == 6000
    assert not list(tmp_path.rglob("attempts/*.json"))
