"""The web app of a small recorded run, served in a thread or as the command, and a client that keeps its cookie."""

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from classifiers.review_app.application import AppSettings, application
from classifiers.review_app.exposure import ExposureLimits
from classifiers.review_app.people import AppPeople, kept_people
from classifiers.serving.local_server import bounded, socket_on
from pipeline.storage.local_store import LocalStore

ROOT = Path(__file__).parents[2]
ROLES = {
    "lead": "operator",
    "anna": "annotator",
    "ben": "annotator",
    "carla": "adjudicator",
    "olga": "auditor",
}


def run_to_look_at(folder: Path) -> LocalStore:
    """26 samples with everything: votes, labels, variants, shards, a classifier and its results."""
    shutil.copytree(ROOT / "tests" / "data" / "recorded_run", folder)
    return LocalStore(folder)


@dataclass
class AppClient:
    """A person's browser without its screen. `seen` are all bytes that it was sent."""

    port: int
    cookie: str = ""
    seen: list[bytes] = field(default_factory=list)

    def ask(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes, http.client.HTTPMessage]:
        """Status, body and headers."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        sent = {"Cookie": self.cookie, "Accept": "text/html", "Content-Type": "application/json", **(headers or {})}
        line.request(method, path, None if body is None else json.dumps(body).encode(), sent)
        answer = line.getresponse()
        data = answer.read()
        line.close()
        self.seen.append(data)
        return answer.status, data, answer.headers

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body."""
        return self.ask("GET", path)[:2]

    def post(self, path: str, body: object = None) -> tuple[int, Any]:
        """Status and what the JSON says."""
        status, data, _ = self.ask("POST", path, {} if body is None else body)
        return status, json.loads(data)

    def enter(self, token: str) -> "AppClient":
        """With a token, as by the address that the command prints."""
        status, _, headers = self.ask("GET", f"/enter?token={token}")
        assert status == 200
        self.cookie = headers["set-cookie"].split(";")[0]
        return self


@dataclass
class ServedApp:
    """Where the app listens, and who may come in."""

    port: int
    tokens: Mapping[str, str]

    def client(self, name: str | None = None) -> AppClient:
        """Somebody's; a stranger's without a name."""
        return AppClient(self.port) if name is None else AppClient(self.port).enter(self.tokens[name])


@contextmanager
def served_app(store: LocalStore, tokens: Path, limits: ExposureLimits | None = None) -> Iterator[ServedApp]:
    """In a thread of this process."""
    import uvicorn

    people: AppPeople = kept_people(tokens, ROLES)
    with application(AppSettings(store=store, people=people, limits=limits or ExposureLimits())) as app:
        bound = socket_on("127.0.0.1", 0)
        server = uvicorn.Server(bounded(app))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        try:
            until = time.monotonic() + 60
            while not server.started:
                assert thread.is_alive() and time.monotonic() < until
                time.sleep(0.01)
            yield ServedApp(bound.getsockname()[1], {person.name: person.token for person in people.people})
        finally:
            server.should_exit = True
            thread.join(10)
            bound.close()


@dataclass
class AppProcess:
    """`jobs/app.py` as a process of its own, to be killed."""

    run: Path
    token_file: Path
    process: "subprocess.Popen[str] | None" = None

    def start(self) -> ServedApp:
        """When it listens."""
        people = ",".join(f"{name}={role}" for name, role in ROLES.items())
        command = [sys.executable, "jobs/app.py", str(self.run), "--people", people, "--port", "0"]
        command += ["--token-file", str(self.token_file)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if found := re.search(r"http://127.0.0.1:(\d+)", line):
                said = json.loads(self.token_file.read_text())["people"]
                return ServedApp(int(found[1]), {person["name"]: person["token"] for person in said})
        raise AssertionError(f"the app ended with {self.process.wait()}")

    def kill(self) -> None:
        """SIGKILL: nothing is tidied up."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
