"""Measure the defence that the repository ships: make data, judge it and the baselines, attack all of them.

    make bench-defence       (python -m bench.defence [--out runs/bench-defence] [--rows 540,200] [--workers 2] [--train])
    python -m bench.defence --figures          only what is measured so far, also while another one measures

Every step is one of the jobs, as its user would call it; the same command goes on where it stopped. Prints one JSON object last and
writes bench/results/defence.json. docs/guide/evaluate.md says what each key means.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.defence.data import JUDGED, SEED, TRAINED, generate, job, label_and_shard
from bench.defence.figures import BASELINES, HARDENED, PLAIN, SLOW, UNDEFENDED, figures, verdicts
from bench.defence.trained import train
from bench.report import report
from classifiers.evaluation.attack_suite import STRENGTHS, SUITE
from classifiers.saved import EMBEDDED as SHIPPED
from pipeline.rounds.existing_run import existing_run

BLIND = "homoglyphs,typos,synonyms,misread,distractors,recompress,overlay"
PARTS = tuple(tuple(name for name in SUITE if (name in SLOW) == slow) for slow in (False, True))
UNDEFENDED_ROWS = "48,0"  # most of these pass, and a rate of .8 of 48 is known to ± .12
CHECKED = "16"  # rows on which the attacks themselves are checked
RECIPE = f"{Path(__file__).parent / 'recipe.py'}:judged"
EVERYONE = (*BASELINES, PLAIN, HARDENED)


def main() -> None:
    """Each step, timed; then the figures."""
    args = asked()
    out, minutes, begun = args.out.absolute(), {}, time.monotonic()
    steps: dict[str, Callable[[], object]] = {} if args.figures else steps_of(args, out)
    for name, step in steps.items():
        started = time.monotonic()
        step()
        minutes[name] = round((time.monotonic() - started) / 60, 1)
        print(f"{name}: {minutes[name]} min", file=sys.stderr, flush=True)
    minutes["all"] = round((time.monotonic() - begun) / 60, 1)
    results = figures(existing_run(str(out))[0])
    held = verdicts(results)
    for claim, holds in held.items():
        print(f"{'?  ' if holds is None else 'yes' if holds else 'NO ':<4}{claim}")
    settings = {"strength": args.strength, "rows": args.rows, "slow_rows": args.slow_rows, "seed": args.seed}
    complete = not args.figures and not results["missing"]
    report("defence", {**results, **settings, "shipped": not args.train, "judged": HARDENED, "claims": held,
                       "complete": complete, "minutes": minutes})  # fmt: skip


def asked() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/bench-defence"))
    parser.add_argument(
        "--rows", default="540,200", help="unsafe and safe rows of the defence to attack (default: %(default)s)"
    )
    parser.add_argument(
        "--slow-rows",
        default="64,24",
        help=f"the same for {', '.join(SLOW)}, the first of those (default: %(default)s)",
    )
    parser.add_argument("--prompts", help=f"drawn, by the model, crossed (default: {JUDGED}; with --train {TRAINED})")
    parser.add_argument("--seed", type=int, default=SEED, help="of all data (default: %(default)s)")
    parser.add_argument(
        "--strength", choices=tuple(STRENGTHS), default="strong", help="settings of the defence's attacks"
    )
    parser.add_argument("--engine", choices=("local", "ray"), default="ray", help="for pictures, labels and variants")
    parser.add_argument("--workers", default="2", help="processes that attack (default: %(default)s)")
    parser.add_argument("--figures", action="store_true", help="measure nothing: only say what is measured so far")
    parser.add_argument("--train", action="store_true", help="judge weights trained anew (hours), not the shipped ones")
    return parser.parse_args()


def steps_of(given: argparse.Namespace, out: Path) -> dict[str, Callable[[], object]]:
    """By name, in order: what tells most comes first, so that a bench that is stopped has told most."""
    counts = (TRAINED if given.train else JUDGED) if given.prompts is None else given.prompts.split(",")
    drawn, embedded, crossed = (int(part) for part in counts)
    recipe = "render" if given.train else RECIPE
    named = {name: f"models/{name}" if given.train else f"{SHIPPED}{name}" for name in EVERYONE}
    everyone = ("--classifiers", ",".join(named.values()))

    def evaluate(*arguments: str) -> None:
        job("evaluate.py", str(out), *arguments, "--workers", given.workers)

    def attack(rows: str, attacks: Sequence[str], *more: str) -> None:
        strong = ("--adaptive", "--strength", given.strength, "--half", "--checks", *(more or ("0",)))
        evaluate("--classifiers", named[HARDENED], "--rows", rows, "--attacks", ",".join(attacks), *strong)

    def undefended() -> None:
        for name in UNDEFENDED:
            quick = ("--adaptive", "--strength", "quick", "--checks", "0", "--attacks", ",".join(SUITE))
            evaluate("--classifiers", named[name], "--rows", UNDEFENDED_ROWS, *quick)

    return {
        "data": lambda: generate(out, (drawn, embedded, crossed), given.engine, recipe=recipe, seed=given.seed),
        "labels and shards": lambda: label_and_shard(out, given.engine),
        **({"training": lambda: train(out)} if given.train else {}),
        "clean": lambda: evaluate(*everyone),
        "clean, of validation": lambda: evaluate(*everyone, "--data", "val"),
        "adaptive": lambda: attack(given.rows, PARTS[0]),
        "adaptive, slow ones": lambda: attack(given.slow_rows, PARTS[1]),
        "undefended": undefended,
        "blind": lambda: evaluate("--classifiers", named[HARDENED], "--rows", given.slow_rows, "--attacks", BLIND),
        "checks of the attacks": lambda: attack(given.rows, ("pgd",), CHECKED),
    }


if __name__ == "__main__":
    main()
