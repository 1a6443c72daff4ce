"""What the time of a job went to: its start by parts, and the stage that bounds the rest."""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import psutil

from pipeline.storage.digest_cache import HASHING
from schemas.manifest import Receipt


@dataclass
class StartUp:
    """Marks of a command in unix seconds; each is set once, in this order."""

    began: float = field(default_factory=lambda: psutil.Process().create_time())
    imported: float = 0.0
    planned: float = 0.0
    first_unit: float = 0.0

    def mark(self, name: str) -> None:
        """Now, unless it was before."""
        setattr(self, name, getattr(self, name) or time.time())

    def parts(self, receipts: Sequence[Receipt]) -> dict[str, float]:
        """Seconds: until all was imported, to `plan` (without hashing), to `hash` weights in this process, to `load` in the worker
        that took longest, and from the command until the `first_unit` was committed. Nothing where no unit was done.
        """
        if not receipts:
            return {}
        load = max(sum(stage.opening for stage in receipt.stages) for receipt in receipts)
        parts = {
            "import": self.imported - self.began,
            "plan": self.planned - self.imported - HASHING.seconds,
            "hash": HASHING.seconds,
            "load": load,
            "first_unit": self.first_unit - self.began,
        }
        return {name: round(seconds, 2) for name, seconds in parts.items()}


def by_stage(receipts: Sequence[Receipt]) -> dict[str, float]:
    """Seconds inside each stage over all units, without loading; the first is what bounds the job."""
    spent: dict[str, float] = defaultdict(float)
    for receipt in receipts:
        for stage in receipt.stages:
            spent[stage.stage] += stage.seconds
    return {stage: round(seconds, 2) for stage, seconds in sorted(spent.items(), key=lambda each: -each[1])}


def bound_by(receipts: Sequence[Receipt]) -> str | None:
    """`diffusion, 93 % of the stages' time`; None where nothing took any."""
    spent = by_stage(receipts)
    total = sum(spent.values())
    return f"{next(iter(spent))}, {max(spent.values()) / total:.0%} of the stages' time" if total else None
