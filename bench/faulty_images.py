"""An images/generations server on loopback that misbehaves as often as it is told, and remembers what it did."""

import base64
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from pipeline.storage.image_codec import encode

GARBAGE = (
    b"<html>busy</html>",
    b'{"created": 1, "data": [{"b64_json": "bm8gcGljdHVyZQ=="}]}',
    b'{"created": 1, "data": []}',
    b'{"created": 1, "data": [{"url": "http://127.0.0.1:9/elsewhere.png"}]}',
    b'{"created": 1, "da',
)
"""No JSON, no picture, none at all, another address, a body that ends early."""


@dataclass
class FaultyImages:
    """Shares of prompts that are refused, throttled, dropped or answered with garbage, in that order; by the prompt's hash.

    What is refused is so always; a throttled, dropped or garbled prompt is drawn when it is asked for again, but for one in
    `lasting` of the garbled ones. `status` answers everything so. Pictures have `side` pixels of one grey, by prompt and seed.
    """

    refuses: float = 0.0
    throttles: float = 0.0
    drops: float = 0.0
    garbles: float = 0.0
    lasting: int = 0
    side: int = 16
    delay: float = 0.0
    status: int | None = None
    usage: dict[str, int] | None = None
    location: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    did: Counter[str] = field(default_factory=Counter)
    drawn: Counter[str] = field(default_factory=Counter)  # by prompt
    at_once: int = 0
    most_at_once: int = 0
    port: int = 0
    _seen: set[str] = field(default_factory=set)

    @property
    def model(self) -> str:
        """As `--model` takes it."""
        return f"openai:http://127.0.0.1:{self.port}/v1#tiny"

    def fate(self, prompt: str) -> str:
        """What becomes of a prompt that is asked for the first time."""
        point = int.from_bytes(blake2b(prompt.encode(), digest_size=8).digest(), "big") / 2**64
        for name in ("refuses", "throttles", "drops", "garbles"):
            point -= getattr(self, name)
            if point < 0:
                return name
        return "draws"

    def lasts(self, prompt: str) -> bool:
        """Whether what is garbled stays so."""
        return bool(self.lasting) and blake2b(prompt.encode(), digest_size=1).digest()[0] % self.lasting == 0

    def now(self, prompt: str) -> str:
        """What becomes of it this time."""
        fate, again = self.fate(prompt), prompt in self._seen
        self._seen.add(prompt)
        stays = fate == "refuses" or (fate == "garbles" and self.lasts(prompt))
        return fate if stays or not again else "draws"

    def picture(self, prompt: str, seed: object) -> bytes:
        """A PNG file."""
        grey = blake2b(f"{prompt} {seed}".encode(), digest_size=1).digest()[0]
        return encode(np.full((self.side, self.side, 3), grey, np.uint8), "png")


class _Handler(BaseHTTPRequestHandler):
    """Answers as `images` says."""

    protocol_version = "HTTP/1.1"
    images: FaultyImages
    lock: threading.Lock
    ended: threading.Event

    def do_POST(self) -> None:
        """Remember what is asked, then behave or not."""
        server = self.images
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = str(body["prompt"])
        with self.lock:
            server.asked.append(body)
            server.keys.append(self.headers.get("Authorization"))
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
            doing = server.now(prompt)
            server.did[doing] += 1
            number = server.did[doing]
        self.ended.wait(server.delay)
        with self.lock:
            server.at_once -= 1
            server.drawn[prompt] += doing == "draws" and server.status is None
        self._answer(doing, number, body)

    def _answer(self, doing: str, number: int, body: dict[str, Any]) -> None:
        server = self.images
        if server.status is not None:
            self._send(server.status, b'{"error": {"message": "no", "code": "no"}}')
        elif doing == "refuses":
            error = {"message": "stopped: " + body["prompt"], "type": "user_error", "code": "moderation_blocked"}
            self._send(400, json.dumps({"error": error}).encode())
        elif doing == "throttles":
            self._send(429, b'{"error": {"message": "slowly", "code": "rate_limit"}}', {"Retry-After": "0.05"})
        elif doing == "drops":
            self.close_connection = True
            self.connection.close()
        elif doing == "garbles":
            self._send(200, GARBAGE[number % len(GARBAGE)])
        else:
            data = base64.b64encode(server.picture(body["prompt"], body.get("seed"))).decode()
            answer = {"created": 1, "data": [{"b64_json": data}]} | ({"usage": server.usage} if server.usage else {})
            self._send(200, json.dumps(answer).encode())

    def _send(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **self.images.headers, **(headers or {})}.items():
            self.send_header(name, value)
        if self.images.location:
            self.send_header("Location", self.images.location)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing."""


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Nothing: it is a client that was killed."""


@contextmanager
def faulty(server: FaultyImages) -> Iterator[FaultyImages]:
    """Serve until the block ends."""
    ended = threading.Event()
    handler = type("_Bound", (_Handler,), {"images": server, "lock": threading.Lock(), "ended": ended})
    http = _Quiet(("127.0.0.1", 0), handler)
    server.port = http.server_address[1]
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        ended.set()
        http.shutdown()
        http.server_close()
        thread.join()
