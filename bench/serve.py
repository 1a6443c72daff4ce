"""How quickly the server answers: make bench-serve writes bench/results/serve.json.

Clients, threads of another process, ask /v1/moderations about one picture each, one request after the other, over connections that
stay open. In turns with it the bare model: the same picture files, decoded and judged by `Classifier.predict`, as many at once as
the server judges. `over_bare` compares answers a second, `cpu_over_bare` the processor time of one, which others do not change.
"""

import base64
import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import psutil

from bench.report import report

MODEL = "assets/world/linear_probe"
CLIENTS = (1, 8, 64)
PICTURES, SECONDS, ROUNDS, PORT = 64, 2.0, 4, 8461
KEY, BATCH = "bench", 32


def files() -> list[bytes]:
    """Scenes of pictograms as PNG files of 64 x 64."""
    from pipeline.storage.image_codec import encode
    from stages.world.draw import Pictures, draw
    from stages.world.scene import compose
    from stages.world.vocabulary import BY_NAME

    rng, pictures, names = np.random.default_rng(0), Pictures.load(), sorted(BY_NAME)
    return [encode(draw(compose(rng, (names[row % len(names)],)), pictures), "png") for row in range(PICTURES)]


def body(file: bytes) -> bytes:
    """A request about one picture."""
    url = f"data:image/png;base64,{base64.b64encode(file).decode()}"
    return json.dumps({"input": [{"type": "image_url", "image_url": {"url": url}}]}).encode()


def client(bodies: Sequence[bytes], until: float, seconds: list[float]) -> None:
    """Ask until the time is over."""
    line = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
    number = 0
    while time.perf_counter() < until:
        started = time.perf_counter()
        line.request("POST", "/v1/moderations", bodies[number % len(bodies)], {"Authorization": f"Bearer {KEY}"})
        answer = line.getresponse()
        answer.read()
        if answer.status == 200:
            seconds.append(time.perf_counter() - started)
        number += 1


def asked_by(clients: int, bodies: Sequence[bytes], seconds: list[float]) -> float:
    """For `SECONDS`, and until the last has its answer; what each took is added to `seconds`. How long it was in all."""
    started = time.perf_counter()
    until = started + SECONDS
    threads = [threading.Thread(target=client, args=(bodies, until, seconds)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started


def bare(model: Any, shown: Sequence[bytes], seconds: float) -> int:
    """Pictures that `predict` judges in that time, in batches as large as the server's; they are decoded from the same files."""
    judged, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        judged += len(model.predict(None, list(shown[:BATCH])))
    return judged


def compared(
    clients: int, bodies: Sequence[bytes], shown: Sequence[bytes], model: Any, server: psutil.Process
) -> dict[str, float]:
    """The server by so many clients beside the bare model, in turns, so that other work on the machine meets both alike. Processor
    time is each process's own: it does not count what others take.
    """
    own, seconds, judged, took, served_cpu, bare_cpu = psutil.Process(), list[float](), 0, 0.0, 0.0, 0.0
    for _ in range(ROUNDS):
        before = _processor(server)
        took += asked_by(clients, bodies, seconds)
        served_cpu += _processor(server) - before
        before = _processor(own)
        judged += bare(model, shown, SECONDS)
        bare_cpu += _processor(own) - before
    low, high = np.quantile(seconds, (0.5, 0.99)) * 1000
    rates = len(seconds) / took, judged / SECONDS / ROUNDS
    each, alone = 1000 * served_cpu / len(seconds), 1000 * bare_cpu / judged
    return {
        "p50_ms": round(float(low), 2),
        "p99_ms": round(float(high), 2),
        "per_second": round(rates[0], 1),
        "bare_per_second": round(rates[1], 1),
        "over_bare": round(rates[0] / rates[1], 3),
        "cpu_ms": round(each, 2),
        "bare_cpu_ms": round(alone, 2),
        "cpu_over_bare": round(alone / each, 3),
    }


def _processor(process: psutil.Process) -> float:
    """Seconds."""
    times = process.cpu_times()
    return float(times.user + times.system)


def serving() -> "subprocess.Popen[str]":
    """The server, when it listens."""
    command = [sys.executable, "jobs/serve.py", MODEL, "--engine", "local", "--port", str(PORT)]
    server = subprocess.Popen(command, env={**os.environ, "HAZMAT_SERVE_KEY": KEY}, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None and server.stdout.readline().startswith("serving")
    while True:
        try:
            http.client.HTTPConnection("127.0.0.1", PORT).connect()
            return server
        except ConnectionRefusedError:
            time.sleep(0.05)


def main() -> None:
    """With each number of clients; the keys without a number are the most clients'."""
    from classifiers.saved import load
    from pipeline.storage.weights import model_directory

    shown, model = files(), load(model_directory(MODEL))
    model.predict(None, list(shown[:BATCH]))
    figures: dict[str, object] = {"model": MODEL}
    server = serving()
    try:
        process, bodies = psutil.Process(server.pid), [body(file) for file in shown]
        asked_by(8, bodies, [])
        for clients in CLIENTS:
            row = compared(clients, bodies, shown, model, process)
            figures |= {f"serve_{key}_{clients}": value for key, value in row.items()}
    finally:
        server.terminate()
        server.wait(20)
    for name in ("p50_ms", "p99_ms", "over_bare", "cpu_over_bare"):
        figures[f"serve_{name}"] = figures[f"serve_{name}_{CLIENTS[-1]}"]
    report("serve", figures)


if __name__ == "__main__":
    main()
