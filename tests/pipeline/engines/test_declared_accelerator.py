"""Ray is told of an accelerator, as on a machine that has one: the plan is cut and placed otherwise, the bytes stay.

The accelerator is declared and not there, so torch sees none and the stages compute on the CPU. What an accelerator draws is
level L2 (docs/reference/promises.md) and is measured elsewhere.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import ray

from pipeline.engines.ray_engine import _share
from tests.support.misbehaving import DropThirds, PaintOnAccelerator
from tests.support.runs import carry_out, digest, plan_of, texts

ROOT = Path(__file__).parents[3]
GENERATE = ROOT / "jobs" / "generate.py"
LIMIT = 400  # seconds for one call of the job
RECIPES = {
    "pictogram": ("--recipe", "pictogram", "--count", "144"),
    "text_to_image": (
        "--recipe",
        "diffusion",
        "--model",
        str(ROOT / "assets" / "world" / "t2i"),
        "--count",
        "130",
        "--steps",
        "3",
    ),
}
DECLARED = f"""
import os, runpy, sys
sys.path.insert(0, {str(ROOT)!r})
from pipeline.engines.ray_access import require_token  # before Ray is imported
require_token()
import ray
paths = os.pathsep.join([{str(ROOT)!r}, *sys.path])
ray.init(address="local", num_cpus=3, num_gpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
         runtime_env={{"env_vars": {{"OMP_NUM_THREADS": "1", "PYTHONPATH": paths}}}})
sys.argv[0] = {str(GENERATE)!r}
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture
def declared_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Ray that the engine starts here has one accelerator."""
    start = ray.init
    monkeypatch.setattr(ray, "init", lambda **given: start(**given, num_gpus=1))


@pytest.mark.timeout(240)
def test_stages_that_want_an_accelerator_get_one_and_give_the_bytes_of_one_process(
    tmp_path: Path, declared_accelerator: None
) -> None:
    # Two groups that want it, with a third between them: both must find a place on the one there is.
    plan = plan_of(texts(12), PaintOnAccelerator(), DropThirds(), PaintOnAccelerator())
    assert len(plan.groups(accelerators=True)) == 4
    on_ray = digest(carry_out(tmp_path / "ray", plan, "ray", workers=1))
    assert on_ray == digest(carry_out(tmp_path / "local", plan))


@pytest.mark.parametrize(("accelerators", "actors"), [(1, 1), (1, 2), (2, 3), (8, 16), (3, 8), (8, 1), (1, 7)])
def test_every_actor_finds_a_place_on_the_accelerators(accelerators: int, actors: int) -> None:
    share = _share(accelerators, actors)
    assert share is not None and 0 < share <= 1
    assert accelerators * (10_000 // round(share * 10_000)) >= actors  # Ray counts in ten-thousandths


def test_without_accelerators_no_actor_asks_for_one() -> None:
    assert _share(0, 4) is None


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_killed_worker_and_a_killed_driver_change_nothing(tmp_path: Path, recipe: str) -> None:
    local = [sys.executable, str(GENERATE), "--engine", "local"]
    reference = finish(start(local, tmp_path / "local", recipe))
    on_ray = [sys.executable, "-c", DECLARED, "--engine", "ray"]
    job = start(on_ray, tmp_path / "ray", recipe)
    wait_for(tmp_path / "ray", 1, job)
    workers = [p for p in psutil.Process(job.pid).children(recursive=True) if "MapWorker" in " ".join(p.cmdline())]
    assert workers
    for worker in workers:
        worker.send_signal(signal.SIGKILL)
    wait_for(tmp_path / "ray", 2, job)
    os.killpg(job.pid, signal.SIGKILL)
    job.communicate()
    assert 2 <= receipts(tmp_path / "ray") <= 3
    assert finish(start(on_ray, tmp_path / "ray", recipe)) == reference


def start(command: list[str], out: Path, recipe: str) -> "subprocess.Popen[str]":
    """The job in a process group of its own."""
    facts = ["--out", str(out), *RECIPES[recipe], "--workers", "1", "--json"]
    return subprocess.Popen([*command, *facts], stdout=subprocess.PIPE, text=True, start_new_session=True)


def finish(job: "subprocess.Popen[str]") -> str:
    """Wait for the end; the run's digest."""
    printed, _ = job.communicate(timeout=LIMIT)
    assert job.returncode == 0, printed
    return str(json.loads(printed.splitlines()[-1])["digest"])


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
