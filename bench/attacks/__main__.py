#!/usr/bin/env python3
"""Measure the attacks on pixels: images per second and robust accuracy, beside foolbox on the same model and batch.

Without foolbox (the `dev` extra has it) its columns stay empty. One JSON object on the last line and in bench/results/attacks.json.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from bench.attacks.gratings import Gratings, pictures, trained
from bench.report import report
from stages.attack.pixels.apgd import apgd
from stages.attack.pixels.deep_fool import deep_fool
from stages.attack.pixels.fgsm import fgsm
from stages.attack.pixels.gaussian import gaussian
from stages.attack.pixels.pgd import PGDConfig, pgd
from stages.attack.pixels.square import square
from stages.attack.victim import Victim, within

COUNT, SIDE, EPSILON = 128, 64, 4 / 255
STEPS = 40
REPEATS = 5  # the fastest counts, ours and foolbox by turns: the machine has other work

Attack = Callable[[Victim], Tensor]


def ours() -> dict[str, Attack]:
    """The kernel, with the settings that foolbox is given."""
    seeds = list(range(COUNT))
    climb = PGDConfig(steps=STEPS, step=EPSILON / 30, random_start=False)
    return {
        "gaussian": lambda victim: gaussian(victim.clean, EPSILON, EPSILON, seeds[: len(victim)]),
        "fgsm": lambda victim: fgsm(victim, EPSILON),
        "pgd": lambda victim: pgd(victim, EPSILON, seeds[: len(victim)], climb),
        "deep_fool": lambda victim: within(deep_fool(victim, steps=STEPS), victim.clean, EPSILON),
        "apgd_margin": lambda victim: apgd(victim, EPSILON, steps=STEPS),
        "apgd_ce": lambda victim: apgd(victim, EPSILON, steps=STEPS, loss="ce"),
        "square": lambda victim: square(victim, EPSILON, seeds[: len(victim)], queries=STEPS),
    }


def theirs() -> dict[str, Any]:
    """Foolbox's attacks of the same names, or none."""
    try:
        attacks = importlib.import_module("foolbox.attacks")
    except ModuleNotFoundError:
        return {}
    return {
        "fgsm": attacks.LinfFastGradientAttack(random_start=False),
        "pgd": attacks.LinfPGD(rel_stepsize=1 / 30, steps=STEPS, random_start=False),
        "deep_fool": attacks.LinfDeepFoolAttack(steps=STEPS, candidates=2),
    }


def main() -> None:
    """Every attack on one batch."""
    torch.set_num_threads(1)
    model = trained(side=SIDE)
    pixels, labels = pictures(COUNT, side=SIDE, seed=9)
    oracles = theirs()
    rows: dict[str, dict[str, float]] = {}
    for name, attack in ours().items():
        runs = [lambda attack=attack: attack(bound(model, pixels, labels))]
        if name in oracles:
            oracle = importlib.import_module("foolbox").PyTorchModel(model, bounds=(0, 1), device="cpu")
            runs.append(lambda run=oracles[name], oracle=oracle: run(oracle, pixels, labels, epsilons=EPSILON)[1])  # type: ignore[misc]
        measured = fastest(runs)
        rows[name] = {}
        for prefix, (seconds, figures) in zip(("", "foolbox_"), measured, strict=False):
            rows[name][f"{prefix}images_per_second"] = round(COUNT / seconds, 1)
            rows[name][f"{prefix}robust_accuracy"] = robust(model, figures, labels)
        if name in oracles:
            rows[name]["times_foolbox"] = round(measured[1][0] / measured[0][0], 2)
        print(name, rows[name])
    settings = {
        "count": COUNT,
        "side": SIDE,
        "epsilon": EPSILON,
        "steps": STEPS,
        "clean": robust(model, pixels, labels),
    }
    report("attacks", {"settings": settings, "attacks": rows})


def bound(model: Gratings, pixels: Tensor, labels: Tensor) -> Victim:
    """The model on one batch; foolbox computes it whole, this in tiles, so that rows that are done leave the work."""

    def margins(at: Tensor, rows: Tensor) -> Tensor:
        logits = model(at)
        return logits[:, 1] - logits[:, 0]  # type: ignore[no-any-return]

    return Victim(margins, pixels, labels, tile=32)


def fastest(runs: Sequence[Callable[[], Tensor]]) -> list[tuple[float, Tensor]]:
    """For each of `runs`: processor seconds of the fastest of some, and what it gave. By turns, after one to warm up."""
    results = [run() for run in runs]
    best = [float("inf")] * len(runs)
    for _ in range(REPEATS):
        for place, run in enumerate(runs):
            started = time.process_time()
            results[place] = run()
            best[place] = min(best[place], time.process_time() - started)
    return list(zip(best, results, strict=True))


def robust(model: Gratings, pixels: Tensor, labels: Tensor) -> float:
    """Share decided right."""
    with torch.no_grad():
        return round(float((model(pixels).argmax(1) == labels).float().mean()), 4)


if __name__ == "__main__":
    main()
