"""Which Ray a command works on: the cluster it was submitted to, or else one started here for as long as it runs."""

import logging
import os
import sys
from typing import Any

import ray

SUBMISSION_SCHEMES = ("http://", "https://")
"""Addresses of a dashboard: `ray job submit` takes them, `ray.init` cannot. A submitted job's RAY_ADDRESS is host:port."""


def connect(workers: int) -> None:
    """Join the cluster that RAY_ADDRESS names, or start one here with a core more than `workers`; nothing if connected already.

    An http address is only for submitting: one line on stderr says so, and the work is done here.
    """
    if ray.is_initialized():
        return
    for name in ("ray", "ray.data"):  # a command's own progress line says all that a user needs
        logging.getLogger(name).setLevel(logging.ERROR)
    shared: dict[str, Any] = {
        "runtime_env": {"env_vars": {"OMP_NUM_THREADS": "1", "PYTHONPATH": _import_path()}},
        "log_to_driver": False,
        "logging_level": "ERROR",
    }
    if _cluster_address():
        ray.init(**shared)
        return
    cores = max(os.cpu_count() or 1, workers + 1)
    ray.init(address="local", num_cpus=cores, include_dashboard=False, **shared)


def _cluster_address() -> str | None:
    """RAY_ADDRESS where it names a cluster to join. An address for submitting is said to be one, and dropped from the environment:
    Ray's own processes read it there too."""
    address = os.environ.get("RAY_ADDRESS")
    if not address or not address.startswith(SUBMISSION_SCHEMES):
        return address
    print(
        f"RAY_ADDRESS is {address}, which is for `ray job submit`; this command was called directly and works on this machine",
        file=sys.stderr,
        flush=True,
    )
    del os.environ["RAY_ADDRESS"]
    return None


def _import_path() -> str:
    """Where workers find what this process could import (a stage of the user's own, say)."""
    return os.pathsep.join(path for path in sys.path if path)
