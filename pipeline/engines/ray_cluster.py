"""Which Ray a command works on: the cluster it was submitted to, or else one started here for as long as it runs."""

import logging
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import psutil
import ray

from pipeline.engines.ray_access import on_loopback, require_token
from pipeline.engines.stop_signals import keep_handlers
from pipeline.storage.store import OBJECT_SCHEMES
from schemas.errors import InputError

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
    with keep_handlers():
        if _cluster_address():
            ray.init(**shared)
            return
        cores = max(os.cpu_count() or 1, workers + 1)
        token = require_token()
        with on_loopback():
            started = ray.init(address="local", num_cpus=cores, include_dashboard=False, **shared)
    _own_session.append(Path(started["session_dir"]))
    _own_session.extend([token] if token else [])


_own_session: list[Path] = []
"""Ray's folder of the cluster that was started here, and that of its token."""


def disconnect() -> None:
    """Leave the cluster; one that was started here ends, and its folder with logs and sockets goes."""
    ray.shutdown()
    while _own_session:
        shutil.rmtree(_own_session.pop(), ignore_errors=True)


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


SHARED_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "lustre", "ceph", "beegfs", "gpfs", "9p", "glusterfs", "afs"})


def _refuse_local_path(url: str) -> None:
    """Raise InputError if several nodes would each write to a disk of their own."""
    nodes = [node for node in ray.nodes() if node["Alive"]]
    if len(nodes) < 2 or url.startswith(OBJECT_SCHEMES) or _file_system(Path(url)) in SHARED_FILE_SYSTEMS:
        return
    raise InputError(
        f"--out {url} is a local path, and the cluster has {len(nodes)} nodes: each would keep its own part. "
        "Give a path on a shared file system or an object store (s3://…)."
    )


def _file_system(path: Path) -> str:
    """The type of the file system that holds `path`, from the kernel's mount table."""
    best, kind = "", ""
    for partition in psutil.disk_partitions(all=True):
        if Path(partition.mountpoint) in (path, *path.parents) and len(partition.mountpoint) > len(best):
            best, kind = partition.mountpoint, partition.fstype
    return kind
