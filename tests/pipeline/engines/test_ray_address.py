"""RAY_ADDRESS as the README has it set is for submitting; a command that is called directly says so and works."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[3]
SUBMISSION = "http://127.0.0.1:8265"


@pytest.mark.timeout(240)
def test_a_direct_command_says_that_an_http_address_is_for_submitting_and_works_here(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "jobs" / "generate.py"), "--out", str(tmp_path), "--recipe", "render"]
    environment = os.environ | {"RAY_ADDRESS": SUBMISSION}
    done = subprocess.run(
        [*command, "--count", "8", "--workers", "1"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if SUBMISSION in line and "ray job submit" in line], done.stderr
    assert "Traceback" not in done.stderr
    assert pq.read_table(tmp_path / "rounds/000-generate/raw/unit-000000.parquet").num_rows == 8


def test_every_command_comes_to_ray_by_the_one_way_that_reads_the_address() -> None:
    callers = set()
    for package in ("schemas", "pipeline", "stages", "classifiers", "jobs"):
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "ray.init":
                    callers.add(file.relative_to(ROOT).as_posix())
    assert callers == {"pipeline/engines/ray_cluster.py"}
