"""A command that is told to stop ends within ten seconds, says what goes on, and leaves nothing behind."""

import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
LONGEST = 10.0  # seconds from the signal to the end
UNITS = 40  # rendered ones of 256 prompts: more than are done before the signal


def start(out: Path, *arguments: str) -> "subprocess.Popen[str]":
    """A generation of a run that takes longer than the test."""
    command = [sys.executable, "jobs/generate.py", "--out", str(out), "--recipe", "render", *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=heed_signals
    )


def heed_signals() -> None:
    """In the child: whoever runs these tests may ignore a signal (nohup does), and children inherit that."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def receipts(out: Path) -> int:
    return len(list(out.glob("rounds/000-generate/receipts/*.json")))


def committed(process: "subprocess.Popen[str]", out: Path, most: float = 200) -> None:
    """Until a first unit is committed."""
    until = time.monotonic() + most
    while not receipts(out):
        assert process.poll() is None and time.monotonic() < until, process.communicate()
        time.sleep(0.05)


def ended(process: "subprocess.Popen[str]", number: signal.Signals) -> str:
    """Send the signal; the last line of what is said, if the end is as promised."""
    children = psutil.Process(process.pid).children(recursive=True)
    told = time.monotonic()
    process.send_signal(number)
    _, said = process.communicate(timeout=3 * LONGEST)
    assert time.monotonic() - told < LONGEST
    assert process.returncode == 128 + number
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert "Traceback" not in said
    return said.strip().splitlines()[-1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_stopped_generation_says_where_it_stands_and_goes_on(number: signal.Signals, tmp_path: Path) -> None:
    process = start(tmp_path, "--engine", "local", "--count", str(UNITS * 256))
    committed(process, tmp_path)
    line = ended(process, number)
    done = receipts(tmp_path)
    assert line.startswith(f"stopped by {number.name}: ") and f"of {UNITS} units are committed" in line
    assert 0 < done < UNITS
    assert not [path for path in tmp_path.rglob(".*") if path.is_file()], "a temporary file was left"
    onward = shlex.split(line.partition("to go on: ")[2])
    assert onward[0] == "jobs/generate.py" and onward[1:3] == ["--out", str(tmp_path)]


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    """While the first one waits for a unit that takes longer."""
    script = (
        "import sys, time\nfrom pipeline.engines import stop_signals as s\n"
        "s.listen(['hazmat', 'slow'], True)\n"
        "with s.finish_first():\n"
        "    print('ready', flush=True)\n"
        "    until = time.monotonic() + 30\n"
        "    while time.monotonic() < until: time.sleep(0.01)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_signals,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert process.poll() is None, "what is under way is finished first"
        told = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=10)
    assert time.monotonic() - told < 2 and process.returncode == 128 + signal.SIGTERM
    assert said == "stopped by SIGTERM: what was committed is whole; to go on: hazmat slow\n"


def test_work_under_way_has_five_seconds_and_a_hanging_one_is_ended() -> None:
    script = (
        "import time\nfrom pipeline.engines import stop_signals as s\n"
        "s.listen(['hazmat', 'slow'], False)\n"
        "try:\n"
        "    with s.finish_first():\n"
        "        print('ready', flush=True)\n"
        "        time.sleep(60)\n"
        "except s.Stopped as stopped:\n"
        "    print(s.last_line(), flush=True)\n"
        "    raise SystemExit(stopped.status)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True, preexec_fn=heed_signals
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        told = time.monotonic()
        process.send_signal(signal.SIGHUP)
        said, _ = process.communicate(timeout=20)
    assert 4.5 < time.monotonic() - told < LONGEST and process.returncode == 129
    assert said.endswith("to start over: hazmat slow\n")


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_under_ray_a_signal_ends_the_driver_its_workers_and_the_session(tmp_path: Path) -> None:
    process = start(tmp_path, "--engine", "ray", "--workers", "1", "--count", str(5 * UNITS * 256))
    committed(process, tmp_path)
    sessions = {Path(path).parents[1] for path in opened_logs(process.pid)}
    assert sessions
    line = ended(process, signal.SIGTERM)
    assert line.startswith("stopped by SIGTERM: ") and "units are committed" in line
    assert not [session for session in sessions if session.exists()]


def opened_logs(pid: int) -> list[str]:
    """The files of Ray's session that processes of the driver have open."""
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return [
        file.path
        for process in processes
        for file in process.open_files()
        if "/logs/" in file.path and "session_" in file.path
    ]
