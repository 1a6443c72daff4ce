"""How much a person may look at: so many samples a day, so long at a stretch, then a break. Counted over restarts.

Looking at harmful pictures for a living harms; limits per day and breaks are what content-moderation practice asks for at least
(Steiger et al., CHI 2021). The audit log is what is counted: what was seen cannot be seen without standing in it.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from classifiers.serving.limits import RequestError
from pipeline.rounds.audit_log import AuditEntry

Clock = Callable[[], datetime]


@dataclass(frozen=True, kw_only=True)
class ExposureLimits:
    """What a person may take. A day is a day of UTC."""

    per_day: int = 400  # samples
    stretch: timedelta = timedelta(minutes=50)
    pause: timedelta = timedelta(minutes=10)  # without looking, it ends a stretch


def now_utc() -> datetime:
    """The time."""
    return datetime.now(UTC)


@dataclass
class Exposure:
    """What everybody saw, and when."""

    limits: ExposureLimits
    clock: Clock = now_utc
    seen: dict[str, list[tuple[datetime, int]]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def remember(self, log: Iterable[AuditEntry]) -> None:
        """What the audit log knows."""
        for entry in log:
            if entry.action == "reveal" and entry.person is not None:
                when = datetime.fromisoformat(entry.time)
                self.seen.setdefault(entry.person, []).append((when, len(entry.details.get("keys", ()))))

    def saw(self, name: str, samples: int) -> None:
        """They did, now."""
        with self.lock:
            self.seen.setdefault(name, []).append((self.clock(), samples))

    def today(self, name: str) -> int:
        """Samples that they saw today."""
        day = self.clock().date()
        return sum(samples for when, samples in self.seen.get(name, ()) if when.date() == day)

    def check(self, name: str, samples: int) -> None:
        """Raises RequestError (429) where they have seen enough for today or are due a break."""
        if self.today(name) + samples > self.limits.per_day:
            raise RequestError(
                429, "enough_for_today", f"{self.limits.per_day} samples a day are enough; go on tomorrow (UTC)"
            )
        until = self.break_until(name)
        if until is not None:
            minutes = max(1, -(-int((until - self.clock()).total_seconds()) // 60))
            raise RequestError(429, "break", f"time for a break of {minutes} minutes", until=until.isoformat())

    def break_until(self, name: str) -> datetime | None:
        """When they may go on; None: now."""
        now = self.clock()
        begun = last = None
        for when, _ in reversed(self.seen.get(name, [])):
            if (last or now) - when >= self.limits.pause:
                break
            begun, last = when, when
        if begun is None or now - begun < self.limits.stretch:
            return None
        return self.seen[name][-1][0] + self.limits.pause
