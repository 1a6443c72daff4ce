#!/usr/bin/env python3
"""Detectors inside a drawing against a text filter and an image filter: `make bench-in-diffusion`.

Draws prompts of the embedded world (two seeds each) with what early steps knew, labels the finished pictures, trains filters and
detectors alike, attacks prompts until the text filter is wrong and draws them again, and measures costs. What is done is kept in
runs/bench-in-diffusion: the same command goes on. One JSON object on the last line and in bench/results/in_diffusion.json.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from bench.in_diffusion import attacked, costs
from bench.in_diffusion.detectors import FILTERS, STEPS, names, scores, trained, without
from bench.in_diffusion.pictures import SEED, SEEDS, Rows, accuracy, draw, f1, margin, read, splits, spoken
from bench.kept import kept
from bench.report import report
from classifiers.classifier import Classifier
from classifiers.unsafebench.judges.published_zoo import digest
from jobs.recipes.in_diffusion import in_diffusion
from pipeline.engines.engine import run_units
from pipeline.pack import digest as digest_of
from pipeline.plan import Plan
from pipeline.rounds.captures import PackCaptures
from pipeline.rounds.round import open_round, pending
from pipeline.storage.open_store import open_store
from pipeline.storage.store import Store
from schemas.capture import step_of
from schemas.run import RunConfig
from stages.generate.capture import Early
from stages.generate.captured_diffusion import CapturedDiffusion
from stages.generate.diffusion import Diffusion
from stages.label.tagger_truth import TaggerTruth

CLEAN, MISSPELT = "rounds/000-generate", "rounds/001-misspelt"
PROMPTS = 5000
DETECTOR = "wukong_20"  # the paper's: what an attacker of the early check aims at


def judged(models: dict[str, Classifier], rows: Rows, steps: int = STEPS) -> dict[str, Tensor]:
    """P(unsafe) of every model."""
    return {name: scores(model, rows, steps) for name, model in models.items()}


def table(models: dict[str, Classifier], scores_of: dict[str, Tensor], rows: Rows) -> dict[str, Any]:
    """Accuracy, F1 and AUROC of every model, and every detector's margins over the filters, of which the two claims are."""
    flagged = {name: scores_of[name] > models[name].threshold for name in models}
    figures: dict[str, Any] = {
        name: {
            "accuracy": accuracy(flagged[name], rows),
            "f1": f1(flagged[name], rows),
            "auroc": round(float(roc_auc_score(rows.unsafe, scores_of[name])), 4)
            if 0 < rows.unsafe.mean() < 1
            else None,
        }
        for name in models
    }
    figures["unsafe"] = round(float(rows.unsafe.mean()), 4)
    figures["margins"] = {
        name: {f"over_{other}": margin(flagged[name], flagged[other], rows) for other in FILTERS}
        for name in models
        if name not in FILTERS
    }
    return figures


def controls(model: Classifier, rows: Rows) -> dict[str, Any]:
    """Accuracy and AUROC of the detector when what it reads is another picture's, in part."""
    by_control = {control: scores(model, mixed) for control, mixed in without(rows).items()}
    return {
        control: {
            "accuracy": accuracy(value > model.threshold, rows),
            "auroc": round(float(roc_auc_score(rows.unsafe, value)), 4),
        }
        for control, value in by_control.items()
    }


def attacks(store: Store, models: dict[str, Classifier], test: Rows, roots: int) -> dict[str, Any]:
    """All survivors, and of each root the one that the text filter, or the detector itself, errs on most."""
    picked = attacked.chosen(models["text"], test, roots)
    rows = attacked.drawn(store, picked)
    left = attacked.survivors(rows, test)
    outcomes = judged(models, left)
    figures: dict[str, Any] = {"drawn": len(rows), "survived": len(left)}
    for name in ("text", DETECTOR):
        index = attacked.hardest(outcomes[name], left)
        figures[f"worst_for_{name}"] = table(models, {k: v[index] for k, v in outcomes.items()}, left.pick(index))
    return figures | {"all": table(models, outcomes, left)}


def longer(url: str, models: dict[str, Classifier], test: Rows, count: int) -> dict[str, Any]:
    """The same detectors, trained on 10 steps, on the same prompts and seeds drawn in 25 and 50: by share of the schedule."""
    figures: dict[str, Any] = {}
    wanted = set(list(dict.fromkeys(test.roots))[:count])
    for steps in costs.SCHEDULES[1:]:
        store = open_store(f"{url}/steps-{steps}-{digest_of(' '.join(sorted(wanted)).encode())[:8]}")
        keep = Early(steps=tuple(step_of(share, steps) for share in (0.1, 0.2)))
        config = RunConfig(out=store.url, recipe="in_diffusion", engine="local")
        first, *_, last = in_diffusion(config).stages
        items = [sample for sample in spoken(PROMPTS) if sample.root in wanted]
        stages = (first, CapturedDiffusion(steps=steps, keep=keep), last)
        plan = Plan(stages, items, unit_size=8, seed=0, pack=PackCaptures())
        round_ = open_round(store, CLEAN, plan)
        list(run_units("local", None, plan, round_, pending(round_)))
        rows = read(store, CLEAN)
        figures[str(steps)] = table(models, judged(models, rows, steps), rows)
    return figures


def main() -> None:
    """Draw, train, judge, attack, measure costs; every part is kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default=str(Path(__file__).parents[2] / "runs" / "bench-in-diffusion"))
    parser.add_argument("--prompts", type=int, default=PROMPTS, help="clean prompts, two pictures each")
    parser.add_argument("--misspelt", type=int, default=1000, help="rewritten prompts to train on, for all alike")
    parser.add_argument("--roots", type=int, default=420, help="unsafe, and safe, test prompts to attack")
    parser.add_argument("--longer", type=int, default=300, help="test prompts to draw in 25 and 50 steps too; 0: none")
    parser.add_argument(
        "--as-drawn", action="store_true", help="take what is drawn already, and draw no more to train on"
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    began, weights = time.process_time(), Diffusion().revision()
    store = open_store(f"{args.out}/{weights[:8]}-{SEED}")
    if not args.as_drawn:
        draw(store, CLEAN, spoken(args.prompts), SEEDS)
        draw(store, MISSPELT, attacked.misspelt(spoken(2 * args.misspelt), args.misspelt), 1)
    clean = read(store, CLEAN)
    parts = splits(clean.and_(read(store, MISSPELT)))
    size = {name: len(rows) for name, rows in parts.items()}
    fingerprint = f"{weights} {TaggerTruth().revision()} {size}"
    models = {name: trained(store, name, parts, fingerprint) for name in names()}
    fitted = f"{fingerprint} {' '.join(digest(model) for model in models.values())}"

    def once(part: str, work: Callable[[], dict[str, Any]], count: int = 0) -> dict[str, Any]:
        """The part's figures, from an earlier call where rows, weights and `count` are the same."""
        figures = kept(Path(store.url) / "figures" / f"{part}.json", f"{fitted} {count}", work)
        print(f"{part}: {time.process_time() - began:.0f} CPU seconds", flush=True)
        return figures

    text, early, image = models["text"], models[DETECTOR], models["image"]
    chosen = {name: models[name] for name in ("wukong_10", DETECTOR)}
    figures = {
        "clean": once("clean", lambda: table(models, judged(models, parts["test"]), parts["test"])),
        "controls": once("controls", lambda: controls(early, parts["test"])),
        "attacked": once("attacked", lambda: attacks(store, models, parts["test"], args.roots), args.roots),
        "capture": once("capture", lambda: dict(costs.capture_overhead())),
        "deciding": once("deciding", lambda: dict(costs.deciding(text, chosen, image))),
        "guarded": once("guarded", lambda: costs.guarded(early, image)),
    }
    if args.longer:
        figures["longer"] = once("longer", lambda: longer(store.url, models, parts["test"], args.longer), args.longer)
    about = {"weights": weights, "pictures": size, "seeds_a_prompt": SEEDS, "steps": STEPS, "detector": DETECTOR}
    report("in_diffusion", {**about, **figures, "cpu_seconds": round(time.process_time() - began, 1)})


if __name__ == "__main__":
    main()
