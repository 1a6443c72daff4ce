"""`make cluster`, then every way of submitting that the README names."""

import os
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[2]
PORT, DASHBOARD = "26391", "28291"  # not the defaults: a head that a developer runs must not be touched

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]


@pytest.fixture(scope="module")
def cluster() -> "dict[str, str]":  # type: ignore[misc]  # a generator, typed by what tests see
    """The environment of a shell that may submit."""
    ports = {"RAY_PORT": PORT, "RAY_DASHBOARD_PORT": DASHBOARD}
    home = os.environ | ports | {"PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}"}
    subprocess.run([ROOT / ".ci" / "cluster", "start"], env=home, cwd=ROOT, check=True, timeout=120)
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": f"{ROOT}/.cache/cluster/token"}
    yield home | token | {"RAY_ADDRESS": f"http://127.0.0.1:{DASHBOARD}"}
    subprocess.run([ROOT / ".ci" / "cluster", "stop"], env=home, cwd=ROOT, check=True, timeout=60)


def submit(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        ["ray", "job", "submit", *arguments],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_working_dir_submission_writes_where_it_was_told(cluster: dict[str, str], tmp_path: Path) -> None:
    facts = ["--out", str(tmp_path), "--recipe", "render", "--count", "40", "--workers", "2"]
    printed = submit(cluster, "--working-dir", ".", "--", "python", "jobs/generate.py", *facts)
    assert "40 pairs" in printed
    assert pq.read_table(tmp_path / "rounds/000-generate/raw/unit-000000.parquet").num_rows == 40


def test_a_plain_submission_of_the_script_works_on_a_head_from_the_checkout(
    cluster: dict[str, str], tmp_path: Path
) -> None:
    printed = submit(cluster, "--", "jobs/generate.py", "--out", str(tmp_path), "--recipe", "render", "--count", "24")
    assert "24 pairs" in printed


def test_the_dashboard_refuses_who_has_no_token(cluster: dict[str, str]) -> None:
    command = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"http://127.0.0.1:{DASHBOARD}/api/jobs/"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "401"


def test_a_direct_command_in_the_shell_that_submits_works_on_this_machine(
    cluster: dict[str, str], tmp_path: Path
) -> None:
    command = ["python", "jobs/generate.py", "--out", str(tmp_path), "--recipe", "render", "--count", "24"]
    done = subprocess.run(command, env=cluster, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "24 pairs" in done.stdout
    assert "ray job submit" in done.stderr
