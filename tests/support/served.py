"""A server in a thread of this process, on a free port of loopback."""

import base64
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from classifiers.serving.local_server import configured, socket_on
from classifiers.serving.settings import ServeSettings
from pipeline.storage.image_codec import encode


@contextmanager
def served(settings: ServeSettings) -> Iterator[int]:
    """The port."""
    import uvicorn

    bound = socket_on("127.0.0.1", 0)
    server = uvicorn.Server(configured(settings))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    try:
        until = time.monotonic() + 60
        while not server.started:
            assert thread.is_alive() and time.monotonic() < until
            time.sleep(0.01)
        yield bound.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(10)
        bound.close()


def post(port: int, path: str, body: object, key: str = "key") -> tuple[int, Any]:
    """Status and answer; `body` is JSON unless it is bytes."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    client.request("POST", path, data, {"Authorization": f"Bearer {key}", "Content-Type": "application/json"})
    answer = client.getresponse()
    told = answer.read()
    client.close()
    return answer.status, json.loads(told)


def raw(port: int, request: bytes, seconds: float = 5) -> bytes:
    """What comes back for these bytes, until the server closes or is silent."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as line:
        line.sendall(request)
        found = b""
        try:
            while piece := line.recv(65536):
                found += piece
                if b"\r\n\r\n" in found:
                    break
        except TimeoutError:
            pass
        return found


def data_url(pixels: np.ndarray, kind: str = "png") -> str:
    """A picture as its own address."""
    return f"data:image/{kind};base64,{base64.b64encode(encode(pixels, kind)).decode()}"
