"""The summary says where the start's seconds went, and which stage bounds the rest."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from pipeline.engines.engine import EngineOptions
from pipeline.engines.time_spent import StartUp, bound_by, by_stage
from pipeline.rounds.round import open_round
from pipeline.stage import Stage, Step
from pipeline.storage import digest_cache
from pipeline.storage.open_store import open_store
from schemas.sample import Sample
from stages.image_io.encode import Encode
from tests.support.runs import plan_of, texts

LOADING, DRAWING = 0.2, 0.03


@dataclass(frozen=True, kw_only=True)
class SlowToLoad(Stage):
    adds: ClassVar[frozenset[str]] = frozenset({"pixels"})

    def open(self) -> Step:
        time.sleep(LOADING)

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            time.sleep(DRAWING)
            return (sample.with_(pixels=np.zeros((4, 4, 3), np.uint8)) for sample in batch)

        return step


def test_loading_is_told_once_and_apart_from_the_work(tmp_path: Path) -> None:
    start_up, plan = StartUp(), plan_of(texts(12), SlowToLoad(), Encode())
    start_up.mark("imported")
    round_ = open_round(open_store(str(tmp_path)), "rounds/000-generate", plan)
    start_up.mark("planned")
    receipts = EngineOptions().carry_out(plan, round_, "drawing", on_first=lambda: start_up.mark("first_unit"))
    loading = [sum(stage.opening for stage in receipt.stages) for receipt in receipts]
    assert len(receipts) > 1 and loading[0] >= LOADING and not any(loading[1:])
    assert list(round_.receipts()) == receipts, "a receipt keeps what its stages took to load"
    parts = start_up.parts(receipts)
    assert parts["load"] >= LOADING and parts["first_unit"] >= parts["import"] + LOADING + DRAWING
    assert next(iter(by_stage(receipts))) == "slow_to_load"
    assert (bound_by(receipts) or "").startswith("slow_to_load, ")
    assert start_up.parts([]) == {} and bound_by([]) is None


def test_a_mark_stays_where_it_was_set_first() -> None:
    start_up = StartUp(began=1.0)
    start_up.mark("imported")
    first = start_up.imported
    start_up.mark("imported")
    assert start_up.imported == first


def test_hashing_is_counted_where_it_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(digest_cache, "HASHING", digest_cache.Hashing())

    def compute() -> str:
        time.sleep(0.05)
        return "0" * 32

    digest_cache.remembered([], compute)
    assert digest_cache.HASHING.seconds >= 0.05
