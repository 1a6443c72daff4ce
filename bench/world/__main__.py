#!/usr/bin/env python3
"""Measure the embedded world from its committed weights: everything that issue 3 wants to see.

One JSON object on the last line and in bench/results/world.json; about fifteen minutes of one core.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import argparse
import json
import platform
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import torch

from bench.world import diffusing, drawing, editing, retrieval, tagging
from bench.world.models import Models

ROOT = Path(__file__).resolve().parents[2]

# The longest first, so that several processes end together.
PARTS: dict[str, Callable[[Models, Path], dict[str, Any]]] = {
    "drawing": lambda models, assets: drawing.measure(models),
    "probe": lambda models, assets: {"in_diffusion": diffusing.probe(models)},
    "editing": lambda models, assets: {"img2img": editing.measure(models)},
    "retrieval": lambda models, assets: retrieval.measure(models),
    "tagging": lambda models, assets: tagging.measure(models),
    "gradients": lambda models, assets: diffusing.gradients(models),
}


def measure_part(name: str, assets: Path) -> dict[str, Any]:
    """The figures of one part, also printed on stderr with the minutes it took."""
    torch.set_num_threads(1)
    started = time.monotonic()
    figures = PARTS[name](Models.load(assets), assets)
    print(f"{name}: {(time.monotonic() - started) / 60:.1f} min {json.dumps(figures)}", file=sys.stderr, flush=True)
    return figures


def measure(assets: Path, processes: int) -> dict[str, Any]:
    """All figures, each with n and interval. Speed is measured last, when no other part runs."""
    started = time.monotonic()
    # `setsid`: a scheduler group each, as in pipeline/training/process_group.py.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=os.setsid) as pool:
        results = dict(zip(PARTS, pool.map(measure_part, PARTS, [assets] * len(PARTS)), strict=True))
    results["costs"] = drawing.costs(Models.load(assets), assets)
    order = ("tagging", "drawing", "costs", "retrieval", "probe", "gradients", "editing")
    figures: dict[str, Any] = {key: figure for name in order for key, figure in results[name].items()}
    figures["machine"] = {
        "processor": platform.machine(),
        "threads": 1,
        "processes": processes,
        "load": os.getloadavg()[2],  # mean of the last 15 minutes: what else ran
        "torch": torch.__version__,
    }
    figures["minutes"] = round((time.monotonic() - started) / 60, 1)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=Path, default=ROOT / "assets" / "world")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / "world.json")
    parser.add_argument("--processes", type=int, default=2, help="one-thread processes that share the parts")
    parser.add_argument("--draw-only", action="store_true", help="used by the bench itself for speed and memory")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.draw_only:
        drawing.in_a_process_of_its_own(args.assets)
        return
    figures = measure(args.assets, args.processes)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
