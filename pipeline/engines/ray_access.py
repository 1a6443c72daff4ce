"""Who gets to the Ray that a command starts here: it listens on loopback, and refuses who does not know its token."""

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ray._private import ray_constants

ONE_NODE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
TOKEN = secrets.token_hex(32)
"""One a process: Ray keeps it in memory, and the next cluster of this process must take it too."""


@contextmanager
def on_loopback() -> Iterator[None]:
    """Start Ray with loopback as its node's address: then GCS, raylets, workers, agents and metrics listen there alone.

    `ray.init` turns 127.0.0.1 into the machine's own address, but for this switch, which Ray has for firewalls of macOS and
    Windows: a constant in this process, a variable for those that it starts. Ray's version is pinned, and a test lists the sockets.
    """
    was, os.environ[ONE_NODE] = os.environ.get(ONE_NODE), "0"
    constant, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = constant
        os.environ.pop(ONE_NODE)
        os.environ |= {ONE_NODE: was} if was is not None else {}


def require_token() -> Path | None:
    """Put the token in a file that only its user can read, and its path in the environment; the folder, to be deleted at the end.

    A token that the environment names stays; then None.
    """
    if os.environ.get("RAY_AUTH_TOKEN") or Path(os.environ.get("RAY_AUTH_TOKEN_PATH", "")).is_file():
        return None
    folder = Path(tempfile.mkdtemp(prefix="hazmat-token-"))  # 0700
    path = folder / "token"
    path.touch(mode=0o600)
    path.write_text(TOKEN)
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(path)
    return folder
