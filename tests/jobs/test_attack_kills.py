"""An attack round is one like all others: the same digest under both engines, and after kill -9 of worker and driver."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.labelled_run import labelled_run, trained_model

JOBS = Path(__file__).parents[2] / "jobs"
LIMIT = 300  # seconds for one call of a job

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def start(job: str, *arguments: str) -> "subprocess.Popen[str]":
    """A job in a process group of its own."""
    command = [sys.executable, str(JOBS / job), *arguments, "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)


def finish(job: str, *arguments: str) -> dict[str, Any]:
    """Run to the end; the summary."""
    running = start(job, *arguments)
    printed, _ = running.communicate(timeout=LIMIT)
    assert running.returncode == 0, printed
    summary: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return summary


def receipts(run: Path) -> int:
    """Units of the attack round that are done."""
    return len(list(run.glob("rounds/*-attack-*/receipts/*.json")))


def wait_for(run: Path, count: int, job: "subprocess.Popen[str]") -> None:
    """Until `count` units are done."""
    deadline = time.monotonic() + LIMIT
    while receipts(run) < count:
        assert job.poll() is None, "the job ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_ray_and_local_attack_alike(tmp_path: Path) -> None:
    trained_model("image")
    digests = set()
    for engine in ("local", "ray"):
        run = shutil.copytree(labelled_run().url, tmp_path / engine)
        command = (str(run), "--attacks", "fgsm,crop", "--against", "models/image", "--engine", engine)
        workers = ("--workers", "2") if engine == "ray" else ()
        (made,) = finish("attack.py", *command, *workers)["rounds"]
        assert made["units"] == 3 and made["variants"] > 20 and made["quarantined"] == 0
        digests.add(made["digest"])
    assert len(digests) == 1


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_a_round_outlives_its_worker_and_its_driver_and_goes_on(tmp_path: Path, engine: str) -> None:
    reference, killed = tmp_path / "reference", tmp_path / "killed"
    finish(
        "generate.py", "--out", str(reference), "--recipe", "render", "--count", "800", "--images-per-prompt", "2",
        "--engine", "local",
    )  # fmt: skip
    shutil.copytree(reference, killed)
    attacks = ("--attacks", "blur,recompress,resize", "--engine")
    (undisturbed,) = finish("attack.py", str(reference), *attacks, "local")["rounds"]
    job = start("attack.py", str(killed), *attacks, engine, "--workers", "1")
    wait_for(killed, 2, job)
    if engine == "ray":
        found = psutil.Process(job.pid).children(recursive=True)
        workers = [process for process in found if "MapWorker" in " ".join(process.cmdline())]
        assert workers
        workers[0].send_signal(signal.SIGKILL)
        wait_for(killed, 6, job)  # another worker goes on
    os.killpg(job.pid, signal.SIGKILL)
    job.communicate()
    done = receipts(killed)
    (resumed,) = finish("attack.py", str(killed), *attacks, "local")["rounds"]
    assert 0 < done < resumed["units"] and 0 < resumed["made_now"] < resumed["variants"]
    assert resumed["digest"] == undisturbed["digest"] and resumed["quarantined"] == 0
    assert not list(killed.rglob("attempts/*.json"))
