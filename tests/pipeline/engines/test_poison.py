"""What kills its own process, and what is in quarantine: found, paid for once, tried again by command."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from pipeline.storage.open_store import open_store
from stages.rounds.retry_round import retry_plans
from tests.support.misbehaving import FailWhileFileExists, Paint
from tests.support.runs import NAME, carry_out, plan_of, rows, texts

SCRIPT = """
from pathlib import Path
from tests.support.misbehaving import Misbehave, Paint
from tests.support.runs import carry_out, plan_of, texts
carry_out(Path({folder!r}), plan_of(texts(20, kill=6), Paint(), Misbehave()))
"""


def run_in_a_process(folder: Path) -> int:
    """Exit status of one call of the local engine."""
    script = SCRIPT.format(folder=str(folder))
    return subprocess.run(
        [sys.executable, "-c", script], cwd=Path(__file__).parents[3], timeout=120, check=False
    ).returncode


def test_under_local_the_next_call_quarantines_what_killed_the_first(tmp_path: Path) -> None:
    assert run_in_a_process(tmp_path) == -signal.SIGKILL
    assert run_in_a_process(tmp_path) == 0
    assert rows(tmp_path).num_rows == 19
    (lost,) = rows(tmp_path, "quarantine").to_pylist()
    assert lost["prompt"].endswith("kill") and lost["how"] == "killed"


def test_samples_beside_a_poisonous_one_keep_their_bytes(tmp_path: Path) -> None:
    run_in_a_process(tmp_path / "poisoned")
    run_in_a_process(tmp_path / "poisoned")
    carry_out(tmp_path / "calm", plan_of(texts(20, kill=6), Paint()))
    calm = {row["key"]: row["image_sha256"] for row in rows(tmp_path / "calm").to_pylist()}
    for row in rows(tmp_path / "poisoned").to_pylist():
        assert calm[row["key"]] == row["image_sha256"]


def test_quarantined_samples_are_tried_again_and_appended(tmp_path: Path) -> None:
    flag = tmp_path / "broken"
    flag.touch()
    plan = plan_of(texts(20), Paint(), FailWhileFileExists(file=str(flag)), images=2)
    round_ = carry_out(tmp_path / "run", plan)
    lost = {row["key"] for row in rows(tmp_path / "run", "quarantine").to_pylist()}
    assert lost
    flag.unlink()
    ((name, again),) = retry_plans(open_store(str(tmp_path / "run")), round_.folder, plan)
    assert name == "retry-fail_while_file_exists"
    carry_out(tmp_path / "again", replace(again))
    mended = {row["key"] for row in rows(tmp_path / "again").to_pylist()}
    assert mended == lost
    assert not mended & {row["key"] for row in rows(tmp_path / "run").to_pylist()}
    assert NAME in round_.folder
