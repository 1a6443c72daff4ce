#!/usr/bin/env python3
"""How long one classifier takes on 500 pictures x 4 attacks x 3 draws under either protocol, with the embedded CLIP.

Q16 on drawn pictures of the world, half of them unsafe; processor seconds, so that other work on the machine does not count,
and the clock's. One JSON object on the last line and in bench/results/unsafebench.json.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter

import torch

from bench.report import report
from classifiers.layers.encoder import ClipEncoder
from classifiers.unsafebench.dataset.images import REAL, Picture
from classifiers.unsafebench.judges.fitted_zoo import world_school
from classifiers.unsafebench.judges.predictions import judge
from classifiers.unsafebench.robustness.attack_subset import draws
from classifiers.unsafebench.robustness.attacks import ITERATIONS, PROTOCOLS, attack_rows
from classifiers.zoo.q16 import Q16Judge
from pipeline.storage.weights import model_directory

COUNT = 500


def main() -> None:
    """Fit on one half, attack three draws out of the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT)
    count = parser.parse_args().count
    torch.set_num_threads(1)
    encoder = ClipEncoder.from_directory(model_directory("assets/world/clip"))
    model = Q16Judge.untrained(encoder)
    model.fit(world_school(encoder, REAL, 1000, seed=50).lesson)
    pool = world_school(encoder, REAL, 2 * count, seed=51).pictures
    pictures = [Picture(p.key, p.pixels, p.source, p.category or "hate", p.unsafe) for p in pool]
    rows, cost = judge(model, pictures)
    drawn = draws(rows, count)
    keys = {row["key"] for row in drawn}
    chosen = [picture for picture in pictures if picture.key in keys]
    figures: dict[str, object] = {}
    for protocol in PROTOCOLS:
        started = time.perf_counter()
        attacked, seconds = attack_rows(model, chosen, protocol)
        wall = time.perf_counter() - started
        fooled = Counter(str(row["attack"]) for row in attacked if row["fooled"])
        robust = {
            attack: round(1 - fooled[attack] / len(chosen), 4) for attack in ("gaussian", "fgsm", "pgd", "deep_fool")
        }
        figures[protocol] = {
            "processor_seconds": round(seconds, 1),
            "wall_seconds": round(wall, 1),
            "robust_accuracy": robust,
        }
        print(protocol, figures[protocol])
    sizes = sorted(Counter(row["draw"] for row in drawn).values())
    settings = {"a_draw": sizes, "different_pictures": len(chosen), "iterations": ITERATIONS, "classifier": model.name}
    report("unsafebench", {"settings": settings, "minutes_a_thousand": cost.minutes_a_thousand, "protocols": figures})


if __name__ == "__main__":
    main()
