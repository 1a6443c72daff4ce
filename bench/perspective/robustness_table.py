#!/usr/bin/env python3
"""Measure how PerspectiveVision's methods and the zoo stand attacks: table 7 of UnsafeBench on the embedded world, both protocols.

    python -m bench.perspective.robustness_table --run runs/defence --methods linear_probe,q16

What is done lies in MODELS/attacked: the same command goes on. One JSON object on the last line and in
bench/results/perspective_robustness.json.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

from bench.kept import kept
from bench.perspective.methods import METHODS, method
from bench.perspective.robustness import robust_accuracy
from bench.perspective.sets import IN, TestSet, test_sets
from bench.perspective.zoo import ZOO, zoo
from bench.report import report
from classifiers.unsafebench.judges.published_zoo import digest
from pipeline.rounds.existing_run import existing_run
from schemas.protocols import Differentiable

SETS = (IN, "held_out_generator")  # the paper's: its own test set, and AI-generated pictures from elsewhere


def main() -> None:
    """Attack each judge on pictures that it judges rightly."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", default="runs/defence")
    parser.add_argument("--models", type=Path, default=Path("runs/perspective"), help="where the two baselines are")
    parser.add_argument("--methods", default=",".join((*METHODS, *ZOO)))
    parser.add_argument("--pictures", type=int, default=500, help="of each set to choose from (default: %(default)s)")
    parser.add_argument("--attacked", type=int, default=40, help="of each set; UnsafeBench takes 500")
    parser.add_argument("--iterations", type=int, default=20, help="of PGD and DeepFool; UnsafeBench takes 100")
    args = parser.parse_args()
    torch.set_num_threads(1)
    started = time.process_time()
    store, _ = existing_run(args.run)
    sets = [pictures for pictures in test_sets(store, args.pictures) if pictures.name in SETS]
    names = args.methods.split(",")
    fitted = zoo() if set(names) & set(ZOO) else {}
    figures: dict[str, object] = {"iterations": args.iterations, "attacked": args.attacked}
    for name in names:
        model = fitted[name] if name in fitted else method(name, args.run, args.models)
        figures[name] = {
            pictures.name: _attacked(model, pictures, args, args.models / "attacked" / f"{name}-{pictures.name}.json")
            for pictures in sets
        }
    report("perspective_robustness", {**figures, "cpu_seconds": round(time.process_time() - started, 1)})


def _attacked(model: Differentiable, pictures: TestSet, args: argparse.Namespace, file: Path) -> dict[str, Any]:
    settings = json.dumps([model.threshold, args.attacked, args.iterations]).encode()
    mark = digest(model, settings, *(pixels.tobytes() for pixels in pictures.pixels))
    return kept(file, mark, lambda: robust_accuracy(model, pictures, args.attacked, args.iterations))


if __name__ == "__main__":
    main()
