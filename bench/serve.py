"""How quickly the server answers: make bench-serve writes bench/results/serve.json.

Clients, threads of another process, ask /v1/moderations about one picture each, one request after the other, over connections that
stay open. Beside it the bare model: the same picture files through `Classifier.predict`, as many at once as the server judges.
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

import numpy as np

from bench.report import report

MODEL = "assets/world/linear_probe"
CLIENTS = (1, 8, 64)
PICTURES, SECONDS, PORT = 64, 8.0, 8461
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


def asked_by(clients: int, bodies: Sequence[bytes]) -> dict[str, float]:
    """Milliseconds and answers a second."""
    seconds: list[float] = []
    until = time.perf_counter() + SECONDS
    threads = [threading.Thread(target=client, args=(bodies, until, seconds)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    low, high = np.quantile(seconds, (0.5, 0.99)) * 1000
    return {"p50_ms": round(low, 2), "p99_ms": round(high, 2), "per_second": round(len(seconds) / SECONDS, 1)}


def bare(shown: Sequence[bytes]) -> float:
    """Pictures a second of `predict`, in batches."""
    from classifiers.saved import load
    from pipeline.storage.weights import model_directory

    model = load(model_directory(MODEL))
    model.predict(None, list(shown[:BATCH]))
    judged, started = 0, time.perf_counter()
    while time.perf_counter() - started < SECONDS:
        judged += len(model.predict(None, list(shown[:BATCH])))
    return judged / (time.perf_counter() - started)


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
    """Bare, then with each number of clients."""
    shown = files()
    alone = bare(shown)
    figures: dict[str, object] = {"bare_per_second": round(alone, 1), "model": MODEL}
    server = serving()
    try:
        bodies = [body(file) for file in shown]
        asked_by(8, bodies)
        for clients in CLIENTS:
            measured = asked_by(clients, bodies)
            figures |= {f"serve_{key}_{clients}": value for key, value in measured.items()}
            figures |= {f"serve_over_bare_{clients}": round(measured["per_second"] / alone, 3)}
    finally:
        server.terminate()
        server.wait(20)
    widest = CLIENTS[-1]
    figures |= {f"serve_{name}": figures[f"serve_{name}_{widest}"] for name in ("p50_ms", "p99_ms", "over_bare")}
    report("serve", figures)


if __name__ == "__main__":
    main()
