"""A command takes the threads for which cores are free, whoever calls it, and what the caller has set stays."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pipeline.engines import threads

ROOT = Path(__file__).parents[3]
COMMANDS = [file for file in sorted((ROOT / "jobs").glob("*.py")) if "__main__" in file.read_text()]
SAY = """
import os, runpy, sys
runpy.run_path(sys.argv[1])
import threadpoolctl, torch
pools = {pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] in ("openmp", "blas")}
print(os.environ.get("OMP_NUM_THREADS"), torch.get_num_threads(), *pools)
"""


def threads_in(command: str, **given: str) -> set[str]:
    """The numbers of threads that the environment, torch, OpenMP and BLAS have once `command` is loaded."""
    left = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    said = subprocess.run(
        [sys.executable, "-c", SAY, str(ROOT / "jobs" / command)],
        env=left | given,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(said.stdout.split())


@pytest.mark.parametrize("command", ["train.py", "attack.py"])
def test_a_command_leaves_a_core_to_others_in_torch_and_in_blas(command: str) -> None:
    (number,) = threads_in(command)
    assert 1 <= int(number) <= max(1, len(os.sched_getaffinity(0)) - 1)


def test_what_the_caller_set_stays() -> None:
    assert threads_in("train.py", OMP_NUM_THREADS="2") == {"2"}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda file: file.stem)
def test_no_command_loads_torch_before_the_threads_are_set(command: Path) -> None:
    for node in ast.parse(command.read_text()).body:
        if ast.unparse(node).startswith("os.environ.setdefault('OMP_NUM_THREADS'"):
            return
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        foreign = {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"duckdb", "typer"}
        if "jobs" in foreign:
            return
        assert not foreign, f"{command.name} imports {foreign} before `jobs`"
    raise AssertionError(f"{command.name} imports nothing of jobs")


@pytest.fixture
def sixteen_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of sixteen cores without hyper-threads; six of them are busy."""
    monkeypatch.setattr(psutil, "cpu_percent", lambda *_, **__: [100.0] * 6 + [0.0] * 10)
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: 16)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    monkeypatch.setattr(threads, "QUOTA", Path("/nowhere"))
    monkeypatch.setenv(threads.VARIABLE, "")


def number() -> str:
    threads.limit_threads()
    return os.environ[threads.VARIABLE]


def test_busy_cores_are_not_counted(sixteen_cores: None) -> None:
    assert number() == "9"


def test_only_cores_that_the_process_may_use_are_counted(sixteen_cores: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 6, 7, 8})
    assert number() == "2"


def test_threads_of_one_core_are_counted_once(sixteen_cores: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: 16 if logical else 8)
    assert number() == "4"


@pytest.mark.parametrize(("said", "expected"), [("400000 100000", "3"), ("max 100000", "9"), ("50000 100000", "1")])
def test_a_container_has_what_its_quota_allows(
    sixteen_cores: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, expected: str
) -> None:
    (tmp_path / "cpu.max").write_text(said)
    monkeypatch.setattr(threads, "QUOTA", tmp_path / "cpu.max")
    assert number() == expected
