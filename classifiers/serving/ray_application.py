"""The server as an application that Ray Serve deploys from a configuration (`import_path` in deploy/rayservice.yaml)."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray import serve

from classifiers.serving.policies import KeyPolicy, digest_of, read_policies
from classifiers.serving.settings import ServeSettings
from schemas.errors import InputError
from schemas.taxonomy import UNSAFEBENCH

KEY = "HAZMAT_SERVE_KEY"
ARGUMENTS = {"models", "policies", "generator", "log"}


def deployed(settings: ServeSettings, replicas: int, made: Callable[[], Any]) -> serve.Application:
    """Replicas that each hold what `made` gives there: an ASGI application."""
    sized = serve.deployment(serve.ingress(made)(_Replica)).options(
        name="server",
        num_replicas=replicas,
        max_ongoing_requests=settings.limits.queue,
        max_queued_requests=settings.limits.queue,
        ray_actor_options={"num_cpus": 1},
    )
    return sized.bind()


def application(arguments: dict[str, str]) -> serve.Application:
    """From a configuration's `args`: `models` (folders, with commas between), and `policies`, `generator`, `log` where wanted.
    Without `policies` the one key is HAZMAT_SERVE_KEY of the environment. Raises InputError.
    """
    unknown = sorted(arguments.keys() - ARGUMENTS)
    models = tuple(name.strip() for name in arguments.get("models", "").split(",") if name.strip())
    if unknown or not models:
        raise InputError(
            f"args of the serve configuration: {', '.join(unknown) or 'no models'}; they are models (folders, with commas "
            "between), policies, generator and log"
        )
    settings = ServeSettings(
        models=models,
        policies=_policies(arguments.get("policies")),
        generator=arguments.get("generator"),
        log=arguments.get("log"),
    )
    return deployed(settings, 1, lambda: _loaded(settings))


def _policies(file: str | None) -> dict[str, KeyPolicy]:
    if file is not None:
        return read_policies(Path(file), UNSAFEBENCH.ids)
    if not os.environ.get(KEY):
        raise InputError(f"nobody could ask: set {KEY} (a Kubernetes secret) or give args policies: FILE")
    return {digest_of(os.environ[KEY]): KeyPolicy()}


def _loaded(settings: ServeSettings) -> Any:
    from classifiers.serving.app import application as asgi

    return asgi(settings)


class _Replica:
    """Has the application as its only part."""
