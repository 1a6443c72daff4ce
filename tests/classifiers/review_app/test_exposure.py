"""Nobody looks at more than a day's samples, or longer than a stretch without a break; a restart does not forget it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from classifiers.review_app.exposure import Exposure, ExposureLimits
from classifiers.serving.limits import RequestError
from pipeline.rounds.audit_log import append, entries
from pipeline.storage.local_store import LocalStore


@dataclass
class Clock:
    now: datetime = datetime(2026, 11, 28, 9, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **time: float) -> None:
        self.now += timedelta(**time)


def test_a_day_holds_so_many_samples() -> None:
    clock = Clock()
    exposure = Exposure(ExposureLimits(per_day=10), clock)
    exposure.saw("anna", 9)
    exposure.check("anna", 1)
    with pytest.raises(RequestError, match="tomorrow") as refused:
        exposure.check("anna", 2)
    assert refused.value.status == 429
    exposure.check("ben", 10)
    clock.pass_(days=1)
    exposure.check("anna", 10)


def test_a_stretch_of_looking_ends_in_a_break() -> None:
    clock = Clock()
    exposure = Exposure(ExposureLimits(), clock)
    for _ in range(51):
        exposure.check("anna", 1)
        exposure.saw("anna", 1)
        clock.pass_(minutes=0.99)
    with pytest.raises(RequestError, match="break of"):
        exposure.check("anna", 1)
    clock.pass_(minutes=11)
    exposure.check("anna", 1)


def test_pauses_of_ones_own_are_breaks() -> None:
    clock = Clock()
    exposure = Exposure(ExposureLimits(), clock)
    for _ in range(20):
        exposure.check("anna", 1)
        exposure.saw("anna", 1)
        clock.pass_(minutes=12)


def test_what_the_audit_log_knows_is_counted_after_a_restart(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    append(store, "reveal", {"keys": ["a", "b"]}, by="a test", person="anna")
    append(store, "reveal", {"keys": ["c"]}, by="a command")
    append(store, "export", {"keys": ["d"]}, by="a test", person="anna")
    exposure = Exposure(ExposureLimits(per_day=2))
    exposure.remember(entries(store))
    assert exposure.today("anna") == 2
    with pytest.raises(RequestError):
        exposure.check("anna", 1)
