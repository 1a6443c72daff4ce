"""Whatever a stranger sends is answered with a 4xx within two seconds or cut off; memory stays, and nothing goes out."""

import base64
import io
import json
import os
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator

import numpy as np
import psutil
import pytest
from PIL import Image

from classifiers.serving.limits import RequestLimits
from classifiers.serving.policies import KeyPolicy, digest_of
from classifiers.serving.settings import ServeSettings
from pipeline.storage.weights import model_directory
from tests.support.served import data_url, post, raw, served

LONGEST = 2.0  # seconds
BODY = 2**20
HEAD = "POST /v1/moderations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer key\r\n"
_outgoing: list[object] = []


def watch(event: str, arguments: tuple[object, ...]) -> None:
    if event in ("socket.connect", "socket.getaddrinfo") and "127.0.0.1" not in str(arguments):
        _outgoing.append(arguments)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    sys.addaudithook(watch)
    probe = str(model_directory("assets/world/linear_probe"))
    limits = RequestLimits(body=BODY, body_seconds=0.5, pixels=2**20)
    with served(ServeSettings(models=(probe,), policies={digest_of("key"): KeyPolicy()}, limits=limits)) as found:
        yield found


def picture(url: str) -> dict[str, object]:
    return {"input": [{"type": "image_url", "image_url": {"url": url}}]}


def bomb() -> str:
    """A PNG that says it is 60000 x 60000, and is: some kilobytes."""
    rows = zlib.compress(b"\0" * 60001 * 100)
    head = (60000).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    chunks = b"".join(
        len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
        for kind, data in ((b"IHDR", head), (b"IDAT", rows), (b"IEND", b""))
    )
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + chunks).decode()


def frames() -> str:
    """A small animation of very many pixels."""
    out = io.BytesIO()
    first, *more = [Image.new("P", (1000, 1000), shade) for shade in range(40)]
    first.save(out, "GIF", save_all=True, append_images=more)
    return "data:image/gif;base64," + base64.b64encode(out.getvalue()).decode()


BAD: list[Callable[[np.random.Generator], object]] = [
    lambda rng: b"{" * int(rng.integers(1, 5000)),
    lambda rng: b"[" * 100_000,
    lambda rng: rng.bytes(int(rng.integers(0, 3000))),
    lambda rng: {"input": [{"type": "text"}] * 40},
    lambda rng: {"input": ["x"] * int(rng.integers(33, 400))},
    lambda rng: {"input": "x" * (2**16 + 1)},
    lambda rng: {"input": float(rng.normal())},
    lambda rng: {"output": None},
    lambda rng: b"x" * (BODY + 10),
    lambda rng: picture(f"http://169.254.169.254/latest/{rng.integers(1e6)}"),
    lambda rng: picture(f"https://10.0.0.{rng.integers(255)}/x.png"),
    lambda rng: picture("file:///etc/passwd"),
    lambda rng: picture("data:image/png;base64," + base64.b64encode(rng.bytes(500)).decode()),
    lambda rng: picture("data:image/png;base64,$$$"),
    lambda rng: picture("data:text/html,<script>"),
    lambda rng: picture(bomb()),
    lambda rng: picture(data_url(np.zeros((64, 64, 3), np.uint8))[: int(rng.integers(30, 90))]),
    lambda rng: {"input": "a text that no classifier here reads"},
]


def shower(port: int, count: int, seed: int) -> list[tuple[int, float]]:
    rng, found = np.random.default_rng(seed), []
    for number in range(count):
        started = time.monotonic()
        try:
            status, told = post(port, "/v1/moderations", BAD[number % len(BAD)](rng))
            assert told["error"]["message"] and "Traceback" not in json.dumps(told)
        except (BrokenPipeError, ConnectionResetError):  # a body beyond the bound is not read to its end
            status = 413
        found.append((status, time.monotonic() - started))
    return found


def test_each_kind_of_bad_request_is_a_4xx_within_two_seconds(port: int) -> None:
    for status, seconds in [*shower(port, 2 * len(BAD), 1), _timed(port, picture(frames()))]:
        assert 400 <= status < 500 and seconds < LONGEST
    assert not _outgoing


def test_a_body_that_drips_is_cut_off(port: int) -> None:
    started = time.monotonic()
    told = raw(port, (HEAD + "Content-Length: 1000\r\n\r\n{").encode())
    assert told.startswith(b"HTTP/1.1 408") and time.monotonic() - started < LONGEST
    assert raw(port, (HEAD + f"Content-Length: {BODY * 9}\r\n\r\n").encode()).startswith(b"HTTP/1.1 413")
    assert raw(port, (HEAD + "X: " + "y" * 2**17).encode()).startswith(b"HTTP/1.1 4")
    assert raw(port, b"\x16\x03\x01 no http at all\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert post(port, "/v1/judge", {"image": data_url(np.zeros((64, 64, 3), np.uint8))})[0] == 200


@pytest.mark.slow
def test_ten_thousand_hostile_requests_leave_memory_as_it_was(port: int) -> None:
    shower(port, 500, 2)
    before = psutil.Process(os.getpid()).memory_info().rss
    found: list[tuple[int, float]] = []
    threads = [threading.Thread(target=lambda seed=seed: found.extend(shower(port, 1250, seed))) for seed in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(found) == 10_000 and all(400 <= status < 500 for status, _ in found)
    assert np.quantile([seconds for _, seconds in found], 0.999) < LONGEST
    assert psutil.Process(os.getpid()).memory_info().rss - before < 2**28
    assert not _outgoing


def _timed(port: int, body: object) -> tuple[int, float]:
    started = time.monotonic()
    return post(port, "/v1/moderations", body)[0], time.monotonic() - started
