"""The server in one process: uvicorn around the application."""

import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from classifiers.serving.settings import ServeSettings
from schemas.errors import InputError

if TYPE_CHECKING:
    import uvicorn

BACKLOG = 1024
HEADER_BYTES = 2**14  # of a request's line and headers
IDLE_SECONDS = 5  # that a connection may stay open between requests
GRACE_SECONDS = 3  # for answers under way when it is told to stop
SWITCH_SECONDS = 5e-4
"""After which a thread that computes gives way to one that waits. Answers are written by one thread while another judges: with
Python's 5 ms each of an answer's two writes waited for the judge (py-spy: a quarter of what held the interpreter was there)."""
CONNECTIONS = 512  # open at once; beyond, the listener answers 503 itself


def socket_on(host: str, port: int) -> socket.socket:
    """A bound socket. Raises InputError where the address is taken or is none."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        raise InputError(f"--host {host} --port {port}: {error.strerror or error}; name another") from error
    return listener


def configured(settings: ServeSettings) -> "uvicorn.Config":
    """The application, its models loaded, and what bounds a connection. Raises InputError without the packages."""
    try:
        from classifiers.serving.app import application
    except ImportError as error:
        raise InputError('serving needs the packages starlette and uvicorn: pip install "hazmat[serve]"') from error
    return bounded(application(settings))


def bounded(app: Any) -> "uvicorn.Config":
    """Any ASGI application, and what bounds a connection."""
    import uvicorn

    return uvicorn.Config(
        app,
        http="h11",  # the parser whose bounds are its own
        h11_max_incomplete_event_size=HEADER_BYTES,
        limit_concurrency=CONNECTIONS,
        backlog=BACKLOG,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        access_log=False,
        proxy_headers=False,  # nobody is believed about an address, and a layer less is called
        log_level="warning",
        server_header=False,
    )


def listen(settings: ServeSettings, bound: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until a signal comes; `ready` is called when the models are loaded."""
    config = configured(settings)
    ready()
    serve(config, bound)


def serve(config: "uvicorn.Config", bound: socket.socket) -> None:
    """Until a signal comes."""
    import uvicorn

    sys.setswitchinterval(SWITCH_SECONDS)
    uvicorn.Server(config).run(sockets=[bound])
