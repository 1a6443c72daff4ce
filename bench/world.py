#!/usr/bin/env python3
"""Measure the embedded world from its committed weights: everything that issue 3 wants to see.

One JSON object on the last line and in bench/results/world.json; about ten minutes on one core.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import argparse
import json
import platform
import time
from collections.abc import Callable
from typing import Any

import torch

from bench.world_measures import diffusing, drawing, editing, retrieval, tagging
from bench.world_measures.models import Models

ROOT = Path(__file__).resolve().parents[1]


def measure(assets: Path) -> dict[str, Any]:
    """All figures, each with n and interval; minutes by part go to stderr."""
    started = time.monotonic()
    models = Models.load(assets)
    figures: dict[str, Any] = {}
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "tagging": lambda: tagging.measure(models),
        "drawing": lambda: drawing.measure(models),
        "costs": lambda: drawing.costs(models, assets),
        "retrieval": lambda: retrieval.measure(models),
        "probe": lambda: {"in_diffusion": diffusing.probe(models)},
        "gradients": lambda: diffusing.gradients(models),
        "editing": lambda: {"img2img": editing.measure(models)},
    }
    for name, part in parts.items():
        figures |= part()
        print(f"{name}: {(time.monotonic() - started) / 60:.1f} min", file=sys.stderr)
    figures["machine"] = {"processor": platform.machine(), "threads": 1, "torch": torch.__version__}
    figures["minutes"] = round((time.monotonic() - started) / 60, 1)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=Path, default=ROOT / "assets" / "world")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / "world.json")
    parser.add_argument("--draw-only", action="store_true", help="used by the bench itself for speed and memory")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.draw_only:
        drawing.in_a_process_of_its_own(given.assets)
        return
    figures = measure(given.assets)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
