"""The Slurm script on a real run: it is stopped, queued again, goes on; what cannot succeed is not tried again."""

import os
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
QUEUED = '#!/bin/sh\necho "$@" >> "$SCONTROL_CALLS"\n'


@pytest.fixture
def node(tmp_path: Path) -> dict[str, str]:
    """The environment of a task, with a scontrol that keeps what it is told (there is no Slurm here)."""
    program = tmp_path / "bin" / "scontrol"
    program.parent.mkdir()
    program.write_text(QUEUED)
    program.chmod(stat.S_IRWXU)
    return {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "SCONTROL_CALLS": str(tmp_path / "calls"),
        "RUNS": str(tmp_path / "runs"),
        "HAZMAT": str(ROOT),
        "SLURM_JOB_ID": "71",
        "SLURM_ARRAY_TASK_ID": "4",
    }


def started(node: dict[str, str], *arguments: str) -> "subprocess.Popen[str]":
    command = ["bash", str(ROOT / "deploy" / "slurm.sh"), "--engine", "local", "--recipe", "render", *arguments]
    return subprocess.Popen(command, env=node, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def calls(node: dict[str, str]) -> list[str]:
    kept = Path(node["SCONTROL_CALLS"])
    return kept.read_text().splitlines() if kept.exists() else []


@pytest.mark.slow
def test_a_task_that_is_stopped_is_queued_again_and_ends_where_it_would_have(
    node: dict[str, str], tmp_path: Path
) -> None:
    task = started(node, "--count", "2500")
    until = time.monotonic() + 60
    while not list(tmp_path.glob("runs/004/rounds/*/receipts/*.json")) and time.monotonic() < until:
        time.sleep(0.05)
    task.send_signal(signal.SIGTERM)
    told, _ = task.communicate(timeout=30)
    assert task.returncode == 143 and calls(node) == ["requeue 71"], told
    again = started(node | {"SLURM_RESTART_COUNT": "1"}, "--count", "2500")
    told, _ = again.communicate(timeout=120)
    assert again.returncode == 0 and "2500 pairs" in told, told
    assert len(calls(node)) == 1


def test_bad_use_is_not_tried_again(node: dict[str, str]) -> None:
    wrong = started(node, "--count", "0")
    told, _ = wrong.communicate(timeout=60)
    assert wrong.returncode == 2 and "--count" in told
    assert calls(node) == []


@pytest.mark.parametrize("status, tried, ends, queued", [(0, 0, 0, 0), (3, 0, 0, 0), (1, 0, 1, 1), (1, 3, 1, 0)])
def test_what_is_done_is_done_and_a_failure_is_tried_three_times(
    status: int, tried: int, ends: int, queued: int, node: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "generate.py").write_text(f"raise SystemExit({status})")
    task = started(node | {"HAZMAT": str(tmp_path), "SLURM_RESTART_COUNT": str(tried)})
    task.communicate(timeout=60)
    assert (task.returncode, len(calls(node))) == (ends, queued)
