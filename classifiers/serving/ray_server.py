"""The server on Ray Serve: its proxy in front, and the same application in every replica."""

import time
from collections.abc import Callable
from typing import Any

import ray
from ray import serve

from classifiers.serving.app import application
from classifiers.serving.ray_application import deployed
from classifiers.serving.settings import ServeSettings
from pipeline.engines.ray_cluster import connect, disconnect

NAME = "hazmat"
POLL = 0.2
LOOPBACK, EVERYWHERE = "127.0.0.1", "[::]"


def listen(settings: ServeSettings, host: str, port: int, replicas: int, ready: Callable[[], None]) -> None:
    """Serve until a signal comes, then take the replicas down. On a cluster that was there, nothing else of it is touched."""
    connect(replicas)
    try:
        serve.start(http_options={"host": host, "port": port})
        own = ray.util.get_node_ip_address() == LOOPBACK
        made = deployed(settings, replicas, lambda: _in_replica(settings, own))
        serve.run(made, name=NAME, route_prefix="/")
        ready()
        while ray.is_initialized():
            time.sleep(POLL)
    finally:
        serve.delete(NAME)
        disconnect()


def _in_replica(settings: ServeSettings, own: bool) -> Any:
    """The application, made where it is to run. On a Ray that was started here the replica's own port, which Ray Serve opens on
    every address of the machine, is opened on loopback. Ray's version is pinned, and a test lists the sockets.
    """
    if own:
        from ray.serve._private import replica

        listening = replica.add_port_to_grpc_server
        replica.add_port_to_grpc_server = lambda server, address: listening(
            server, address.replace(EVERYWHERE, LOOPBACK)
        )
    return application(settings)
