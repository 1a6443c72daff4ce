"""While a command runs, its Ray is nobody else's: it listens on loopback and takes no one without the run's token."""

import os
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

SCRIPT = """
import os, stat, sys
from pathlib import Path
from pipeline.engines.ray_cluster import connect
connect(1)
import ray
assert ray.get(ray.remote(lambda: 7).remote()) == 7
print(ray.get_runtime_context().gcs_address, flush=True)
print(oct(stat.S_IMODE(Path(os.environ["RAY_AUTH_TOKEN_PATH"]).stat().st_mode)), flush=True)
sys.stdin.read()
ray.shutdown()
"""
ATTACH = """
import sys
from ray._raylet import GcsClient
print("got in", GcsClient(address=sys.argv[1]).get_all_node_info(timeout=20))
"""
INSIDE = ("127.0.0.1", "::1", "::ffff:127.0.0.1")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """A process with a Ray of its own, the address of it and the mode of the token's file."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], env=plain, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield process, process.stdout.readline().strip(), process.stdout.readline().strip()
    process.communicate("", timeout=60)


def listening(process: psutil.Process) -> list[tuple[str, str, int]]:
    """Name, address and port of every listening socket of a process and of what it started."""
    found = []
    for one in [process, *process.children(recursive=True)]:
        try:
            sockets = one.net_connections(kind="inet")
        except psutil.NoSuchProcess:
            continue
        found += [(one.name(), s.laddr.ip, s.laddr.port) for s in sockets if s.status == psutil.CONN_LISTEN]
    return found


def test_ray_listens_on_loopback_alone(running: tuple[subprocess.Popen[str], str, str]) -> None:
    sockets = listening(psutil.Process(running[0].pid))
    assert sockets, "Ray listens somewhere, or nothing was looked at"
    assert [one for one in sockets if one[1] not in INSIDE] == []


def test_nobody_attaches_without_the_token_which_only_its_user_can_read(
    running: tuple[subprocess.Popen[str], str, str],
) -> None:
    process, address, mode = running
    assert mode == "0o600"
    stranger = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    known = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": token_of(process)}
    assert "got in" in attached(address, stranger | known).stdout, (
        "with the token it is a way in, so that the test can fail"
    )
    for token in ({"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}):
        done = attached(address, stranger | token)
        assert done.returncode != 0 and "got in" not in done.stdout
        assert "InvalidAuthToken" in done.stderr


def attached(address: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """Somebody else's try to speak with the cluster."""
    command = [sys.executable, "-c", ATTACH, address]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)


def token_of(process: "subprocess.Popen[str]") -> str:
    """Where the token lies: what Ray's own processes are told."""
    children = psutil.Process(process.pid).children(recursive=True)
    return next(path for one in children if (path := one.environ().get("RAY_AUTH_TOKEN_PATH")))
