"""The bench of accelerators is rehearsed on the CPU with tiny weights: every part of it runs, and it claims nothing of a card."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.gpu.card import NO_CARD, Watch, mfu, peak

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "bench" / "results" / "gpu.json"


def bench(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "bench.gpu", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=560
    )


def figures(*arguments: str) -> dict[str, Any]:
    before = KEPT.read_bytes() if KEPT.exists() else None
    run = bench("--tiny", *arguments)
    assert run.returncode == 0, run.stderr
    assert (KEPT.read_bytes() if KEPT.exists() else None) == before, "a rehearsal must not become a result"
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    assert found["card"] == NO_CARD
    return found


@pytest.mark.slow
def test_a_rehearsal_measures_both_loops_and_both_engines() -> None:
    found = figures("--only", "turbo")
    ways = {way: found[f"turbo_{way}_images_per_second"] for way in ("stock", "tuned", "local", "ray")}
    assert all(rate > 0 for rate in ways.values())
    best = max(ways["local"], ways["ray"])
    assert found["turbo_over_stock"] == pytest.approx(best / ways["stock"], rel=0.05)
    assert found["turbo_over_tuned"] == pytest.approx(best / ways["tuned"], rel=0.05)
    assert found["first_unit_seconds"] > 0 and found["turbo_denoiser_tflop_an_image"] >= 0
    assert found["gpu_utilisation"] is None and found["turbo_local_mfu"] is None


@pytest.mark.slow
def test_a_rehearsal_labels_trains_and_evaluates() -> None:
    found = figures("--only", "learning")
    assert {f"{what}_rows_per_second_cpu" for what in ("label", "train", "hardened_train", "evaluate")} <= found.keys()


def test_without_a_card_there_is_nothing_to_measure() -> None:
    run = bench("--only", "sd15")
    assert (run.returncode, run.stdout) == (2, "") and len(run.stderr.splitlines()) == 1
    assert "--tiny" in run.stderr


def test_a_part_that_is_none_is_refused() -> None:
    run = bench("--tiny", "--only", "sd16")
    assert run.returncode == 2 and "--only takes sd15, turbo, flux, learning" in run.stderr


def test_utilisation_is_of_the_steady_part_alone() -> None:
    watch = Watch([(0.0, 0.0, 1 << 30), (1.0, 0.9, 2 << 30), (2.0, 1.0, 3 << 30), (3.0, 0.0, 9 << 30)])
    assert watch.utilisation(0.5, 2.5) == 0.95 and watch.peak_gib(0.5, 2.5) == 3.0
    assert watch.utilisation(4, 5) is None


def test_mfu_is_of_the_peak_of_the_very_card() -> None:
    assert peak("NVIDIA H100 80GB HBM3") == 989e12 and peak("NVIDIA H100 PCIe") == 756e12 and peak("Some card") is None
    assert mfu(989e9, 500, "NVIDIA H200") == 0.5 and mfu(1.0, 1.0, None) is None
