#!/usr/bin/env python
"""Serve trained classifiers over HTTP, in the shape of the public moderation APIs.

    jobs/serve.py runs/mine/models/cascade --engine local                         on 127.0.0.1:8400, one process
    jobs/serve.py runs/mine/models/cascade --also runs/mine/models/text           texts that come without a picture have a judge too
    jobs/serve.py runs/mine/models/text --also runs/mine/models/image --generator assets/world/t2i     and draws, guarded

POST /v1/moderations (as `openai` calls it), /v1/judge (by scope, with the stage that decided), /v1/images/generations; GET
/healthz, /metrics, /v1/models. Every call but /healthz needs a key: HAZMAT_SERVE_KEY, else one is made and written to --key-file;
or keys with a policy each, in --policies. Bodies, queues, pixels and time are bounded; too much is answered 413, 408 or 429.
"""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from typer import Argument, Option

from jobs.command import DONE, ScatteredCommand, report, resolve_out, run_command, say
from schemas.errors import InputError

if TYPE_CHECKING:
    from classifiers.serving.policies import KeyPolicy
    from classifiers.serving.settings import ServeSettings

KEY = "HAZMAT_SERVE_KEY"
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Serve(ScatteredCommand):
    """Which classifiers, for whom, where."""

    resumes: ClassVar = False
    threads = 1  # rows of a batch are judged together; more threads would fight with those of other replicas

    model: Annotated[str, Argument(metavar="MODEL", help="a trained classifier's folder, such as RUN/models/NAME")]
    also: Annotated[str | None, Option(metavar="A,B", help="folders of others, asked where MODEL cannot judge")] = None
    generator: Annotated[
        str | None, Option(metavar="DIR", help="directory of a diffusers pipeline; the classifiers guard it")
    ] = None
    host: Annotated[str, Option(metavar="ADDRESS", help="to listen on")] = LOOPBACK
    port: Annotated[int, Option(min=0, max=65535, metavar="N", help="to listen on (0: a free one)")] = 8400
    key_file: Annotated[str, Option(metavar="FILE", help="for the key that is made")] = "runs/serve.key"
    policies: Annotated[
        str | None, Option(metavar="FILE", help="keys with a policy each (docs/guide/serve.md), instead of one key")
    ] = None
    allow_host: Annotated[
        str | None, Option(metavar="A,B", help="hosts that pictures may be fetched from (default: none)")
    ] = None
    log: Annotated[
        str | None, Option(metavar="FILE", help="keep what is asked and answered, texts and pictures included")
    ] = None
    queue: Annotated[int, Option(min=1, metavar="N", help="rows that may wait; beyond, 429")] = 256


def main(config: Serve) -> int:
    """Load, listen until a signal comes."""
    from classifiers.serving.limits import RequestLimits
    from classifiers.serving.settings import ServeSettings
    from pipeline.storage.weights import local_directory

    also = [name.strip() for name in (config.also or "").split(",") if name.strip()]
    folders = tuple(str(local_directory(name) or name) for name in (config.model, *also))
    settings = ServeSettings(
        models=folders,
        policies=policies_of(config),
        generator=config.generator,
        hosts=frozenset(name.strip().lower() for name in (config.allow_host or "").split(",") if name.strip()),
        limits=RequestLimits(queue=config.queue),
        log=None if config.log is None else resolve_out(config.log),
    )
    served = listen_on_ray(config, settings) if config.engine == "ray" else listen_here(config, settings)
    report(config, {"address": served, "models": list(folders)})
    return DONE


def policies_of(config: Serve) -> "dict[str, KeyPolicy]":
    """By the digest of a key. Raises InputError."""
    from classifiers.serving.policies import KeyPolicy, digest_of, read_policies
    from schemas.taxonomy import UNSAFEBENCH

    if config.policies is not None:
        return read_policies(Path(config.policies), UNSAFEBENCH.ids)
    key = os.environ.get(KEY)
    if not key:
        key = secrets.token_urlsafe(32)
        path = Path(resolve_out(config.key_file))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.chmod(0o600)
        path.write_text(key)
        say(f"the key is in {path}")
    return {digest_of(key): KeyPolicy()}


def listen_here(config: Serve, settings: "ServeSettings") -> str:
    """In this process. Raises InputError where the address is taken."""
    from classifiers.serving.local_server import listen, socket_on

    socket = socket_on(config.host, config.port)
    address = f"http://{config.host}:{socket.getsockname()[1]}"
    listen(settings, socket, lambda: say(f"serving {', '.join(settings.models)} on {address}"))
    return address


def listen_on_ray(config: Serve, settings: "ServeSettings") -> str:
    """On Ray Serve, a replica a worker."""
    if config.port == 0:
        raise InputError("--port 0: Ray Serve's proxy needs a port by its number")
    from classifiers.serving.ray_server import listen

    address = f"http://{config.host}:{config.port}"
    listen(settings, config.host, config.port, config.workers or 1, lambda: say(f"serving on {address}, Ray Serve"))
    return address


if __name__ == "__main__":
    run_command(main)
