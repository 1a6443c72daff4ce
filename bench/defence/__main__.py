"""Measure the defence that the repository ships: make data, judge it and the baselines, attack all of them.

    make bench-defence       (python -m bench.defence [--out runs/bench-defence] [--rows 540,200] [--train])

Every step is one of the jobs, as its user would call it; the same command goes on where it stopped. Prints one JSON object last and
writes bench/results/defence.json. docs/guide/evaluate.md says what each key means.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.defence.data import CROSSED, DRAWN, EMBEDDED, generate, job, label_and_shard
from bench.defence.figures import BASELINES, FUSED, HARDENED, PLAIN, UNDEFENDED, figures, verdicts
from bench.defence.trained import train
from bench.report import report
from classifiers.evaluation.attack_suite import STRENGTHS, SUITE
from classifiers.saved import EMBEDDED as SHIPPED
from pipeline.rounds.existing_run import existing_run

BLIND = "homoglyphs,typos,synonyms,misread,distractors,recompress,overlay"
ADAPTIVE = ",".join(SUITE)
UNDEFENDED_ROWS = "60,20"  # most of these pass, and a rate of .8 of 60 is known to ± .1
EVERYONE = (*BASELINES, PLAIN, HARDENED)


def main() -> None:
    """Each step, timed; then the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/bench-defence"))
    parser.add_argument(
        "--rows", default="540,200", help="unsafe and safe rows of the defence to attack (default: %(default)s)"
    )
    parser.add_argument("--prompts", default=f"{DRAWN},{EMBEDDED},{CROSSED}", help="drawn, by the model, crossed")
    parser.add_argument(
        "--strength", choices=tuple(STRENGTHS), default="strong", help="settings of the defence's attacks"
    )
    parser.add_argument("--engine", choices=("local", "ray"), default="ray", help="for pictures, labels and variants")
    parser.add_argument("--train", action="store_true", help="judge weights trained anew (hours), not the shipped ones")
    args = parser.parse_args()
    drawn, embedded, crossed = (int(part) for part in args.prompts.split(","))
    out, minutes, begun = args.out.absolute(), {}, time.monotonic()
    steps: dict[str, Callable[[], object]] = {
        "data": lambda: generate(out, (drawn, embedded, crossed), args.engine),
        "labels and shards": lambda: label_and_shard(out, args.engine),
        **({"training": lambda: train(out)} if args.train else {}),
        "evaluation": lambda: evaluate(str(out), args.rows, args.strength, shipped=not args.train),
    }
    for name, step in steps.items():
        started = time.monotonic()
        step()
        minutes[name] = round((time.monotonic() - started) / 60, 1)
        print(f"{name}: {minutes[name]} min", file=sys.stderr, flush=True)
    minutes["all"] = round((time.monotonic() - begun) / 60, 1)
    results = figures(existing_run(str(out))[0])
    for claim, holds in verdicts(results).items():
        print(f"{'yes' if holds else 'NO ':<4}{claim}")
    settings = {"strength": args.strength, "rows": args.rows, "prompts": args.prompts, "shipped": not args.train}
    report("defence", {**results, **settings, "judged": HARDENED, "claims": verdicts(results), "minutes": minutes})


def evaluate(out: str, rows: str, strength: str, *, shipped: bool) -> None:
    """Everyone on rows as they are (on val to see what the thresholds let by), and attacks on the undefended and on the defence.

    The undefended meet the quick settings: what these miss makes the comparison harder for the defence.
    """
    named = {name: f"{SHIPPED}{name}" if shipped else f"models/{name}" for name in EVERYONE}
    everyone = ",".join(named.values())
    job("evaluate.py", out, "--classifiers", everyone, "--data", "val")
    job("evaluate.py", out, "--classifiers", everyone, "--latency")
    for name in dict.fromkeys((HARDENED, *UNDEFENDED)):
        defence = name == HARDENED
        attacked = ("--classifiers", named[name], "--rows", rows if defence else UNDEFENDED_ROWS)
        job("evaluate.py", out, *attacked, "--attacks", BLIND)
        how = strength if defence else "quick"
        # Made against what is undefended: whether they transfer to the defence.
        transfer = ("--transfer-from", f"{named[FUSED]},{named[PLAIN]}") if defence else ()
        job("evaluate.py", out, *attacked, "--attacks", ADAPTIVE, "--adaptive", "--strength", how, *transfer)


if __name__ == "__main__":
    main()
