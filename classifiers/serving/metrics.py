"""What a server counts, in Prometheus' text."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """One registry a server, so that several can live in one process."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("hazmat_requests", "answered requests", ["path", "status"], registry=self.registry)
        self.seconds = Histogram(
            "hazmat_seconds", "from request to answer", ["path"], buckets=SECONDS, registry=self.registry
        )
        self.flagged = Counter(
            "hazmat_flagged", "flagged rows by policy and category", ["policy", "category"], registry=self.registry
        )
        self.judged = Counter("hazmat_judged", "judged rows by policy", ["policy"], registry=self.registry)
        self.refused = Counter(
            "hazmat_refused_pictures", "pictures not given out, by guard", ["where"], registry=self.registry
        )
        self.queue = Gauge("hazmat_queue", "rows that wait", registry=self.registry)

    def text(self) -> bytes:
        """All of it."""
        return generate_latest(self.registry)
