"""The same server on Ray Serve: it answers the official client, and nothing of it listens beyond loopback."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import openai
import psutil
import pytest

from classifiers.serving.local_server import socket_on
from tests.support.served import data_url

ROOT = Path(__file__).parents[3]


def listening(process: psutil.Process) -> set[str]:
    """Addresses that a process and all that it started listen on."""
    found: set[str] = set()
    for each in [process, *process.children(recursive=True)]:
        try:
            found |= {
                line.laddr.ip.removeprefix("::ffff:")
                for line in each.net_connections("tcp")
                if line.status == psutil.CONN_LISTEN
            }
        except psutil.Error:  # it ended meanwhile
            continue
    return found


@pytest.mark.slow
def test_ray_serve_answers_the_official_client_on_loopback_alone() -> None:
    free = socket_on("127.0.0.1", 0)
    port = free.getsockname()[1]
    free.close()
    command = [sys.executable, "jobs/serve.py", "assets/world/linear_probe", "--port", str(port)]
    env = {**os.environ, "HAZMAT_SERVE_KEY": "key", "PYTHONPATH": str(ROOT)}
    server = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert server.stdout is not None and "Ray Serve" in server.stdout.readline()
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="key", max_retries=0)
        picture = data_url(np.zeros((64, 64, 3), np.uint8))
        asked = [{"type": "image_url", "image_url": {"url": picture}}]
        assert client.moderations.create(input=asked).results[0].flagged is False  # type: ignore[arg-type]
        assert listening(psutil.Process(server.pid)) == {"127.0.0.1"}
    finally:
        server.send_signal(signal.SIGTERM)
        until = time.monotonic() + 20
        while server.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
        server.kill()
    assert server.returncode == 143
