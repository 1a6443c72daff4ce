"""All that a server is made from."""

from dataclasses import dataclass, field

from classifiers.serving.limits import RequestLimits
from classifiers.serving.policies import KeyPolicy


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """All that a server is made from; picklable, so that a replica makes its own."""

    models: tuple[str, ...]
    policies: dict[str, KeyPolicy]
    generator: str | None = None
    hosts: frozenset[str] = frozenset()
    limits: RequestLimits = field(default_factory=RequestLimits)
    log: str | None = None
    """Where answered rows are kept, texts and pictures included; None: nowhere."""
