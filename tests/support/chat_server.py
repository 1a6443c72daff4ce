"""A real HTTP server on loopback that speaks OpenAI's chat/completions, and misbehaves as it is told."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ANSWER = {"rating": "unsafe", "categories": ["C"], "severity": 2, "score": 0.9}


@dataclass
class ChatServer:
    """What it was asked, and how it answers: the first `fail_first` requests get `fail_status`."""

    answer: str = json.dumps(ANSWER)
    fail_first: int = 0
    fail_status: int = 503
    location: str | None = None
    delay: float = 0.0
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    port: int = 0

    @property
    def model(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1#tiny"


@contextmanager
def serving(server: ChatServer) -> Iterator[ChatServer]:
    """Serve until the block ends."""
    lock = threading.Lock()
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                server.requests.append(body)
                server.headers.append(dict(self.headers))
                number = len(server.requests)
                server.at_once += 1
                server.most_at_once = max(server.most_at_once, server.at_once)
            ended.wait(server.delay)
            with lock:
                server.at_once -= 1
            if number <= server.fail_first:
                self.send_response(server.fail_status)
                if server.location:
                    self.send_header("Location", server.location)
                self.end_headers()
                return
            reply = {
                "choices": [{"message": {"role": "assistant", "content": server.answer}}],
                "usage": {"prompt_tokens": 100, "completion_tokens": 20},
            }
            data = json.dumps(reply).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
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
