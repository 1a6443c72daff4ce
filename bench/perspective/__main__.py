#!/usr/bin/env python3
"""Measure PerspectiveVision's three methods beside the zoo: table 6 of UnsafeBench on the embedded world; what a scope changes.

    python -m bench.perspective --run runs/defence  (the data of bench.defence; baselines are trained if they are not there)
    python -m bench.perspective --run runs/defence --external SMID_norms.csv=img/,Violence_Dataset.tsv

Two are committed: the vision-language model (assets/world/vlm/lora) and the probes that read visual words
(assets/world/linear_probe, trained on other pictures of the same kind). One JSON object on the last line and in
bench/results/perspective.json. Table 7 is bench.perspective.robustness_table.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.perspective.judging import Flags, averages, f1_figure, flags, gap, narrowing
from bench.perspective.layouts import external_sets, stand_ins
from bench.perspective.methods import METHODS, PROBE, PROMPTS, VLM, WORDS, method
from bench.perspective.sets import IN, OUT, SIDE, TestSet, test_sets
from bench.perspective.zoo import zoo
from bench.report import report
from pipeline.rounds.existing_run import existing_run

FLOOR = 0.86  # F1 in distribution of a linear probe (issue 10; the paper's is .859)


def main() -> None:
    """Train what is missing, judge, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", default="runs/defence")
    parser.add_argument("--models", type=Path, default=Path("runs/perspective"), help="where the two baselines are")
    parser.add_argument("--pictures", type=int, default=500, help="of each set (default: %(default)s)")
    parser.add_argument("--external", default="", metavar="SET,…", help="further sets, as of jobs/unsafebench.py")
    args = parser.parse_args()
    torch.set_num_threads(1)
    started = time.process_time()
    store, _ = existing_run(args.run)
    layouts = f"{stand_ins(args.models / 'layouts', args.pictures)},{args.external}"
    sets = [*test_sets(store, args.pictures), *external_sets(layouts, SIDE)]
    models = {name: method(name, args.run, args.models) for name in METHODS}
    judges = {**models, **zoo()}
    answers = {name: [flags(judge, pictures) for pictures in sets] for name, judge in judges.items()}
    figures: dict[str, Any] = {"table6": table6(answers, sets), "orderings": orderings(answers, sets)}
    figures["linear_probe_floor"] = {
        "target": FLOOR,
        **{name: figures["table6"][name][IN]["value"] >= FLOOR for name in (PROBE, WORDS)},
    }
    figures["narrowing"] = {name: narrowing(model, sets[0]) for name, model in models.items()}
    report("perspective", {**figures, "cpu_seconds": round(time.process_time() - started, 1)})


def table6(answers: dict[str, list[Flags]], sets: list[TestSet]) -> dict[str, Any]:
    """F1 by method and set, with n and interval, and the mean over the sets out of distribution.

    Beside them a judge that flags every picture: an F1 below its is worth nothing, and a set of mostly unsafe ones is kind to it.
    """
    unsafe = [pictures.unsafe for pictures in sets]
    everything = [np.ones(len(pictures), dtype=np.bool_) for pictures in sets]
    return {
        name: {
            **{p.name: f1_figure(each, p.unsafe) for each, p in zip(flagged, sets, strict=True)},
            "ood_average": round(averages(flagged[OUT], unsafe[OUT])[0], 4),
        }
        for name, flagged in {**answers, "flag_everything": everything}.items()
    }


def orderings(answers: dict[str, list[Flags]], sets: list[TestSet]) -> dict[str, Any]:
    """The paper's two claims, on the same draws for both methods."""
    unsafe = [pictures.unsafe for pictures in sets]
    return {
        "probe_over_prompts_in_distribution": gap(answers[PROBE][:1], answers[PROMPTS][:1], unsafe[:1]),
        "vlm_over_probe_out_of_distribution": gap(answers[VLM][OUT], answers[PROBE][OUT], unsafe[OUT]),
        "vlm_over_probe_with_words_out_of_distribution": gap(answers[VLM][OUT], answers[WORDS][OUT], unsafe[OUT]),
        "vlm_over_prompts_out_of_distribution": gap(answers[VLM][OUT], answers[PROMPTS][OUT], unsafe[OUT]),
    }


if __name__ == "__main__":
    main()
