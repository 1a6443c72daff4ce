#!/usr/bin/env python
"""Judge classifiers of a run: on its test rows, on held-out ones, under attack; every row kept, every figure a query over rows.

    jobs/evaluate.py RUN --classifiers late_fusion,multimodal
    jobs/evaluate.py RUN --classifiers multimodal --attacks homoglyphs,typos,recompress      made blind, 4 variants a sample
    jobs/evaluate.py RUN --classifiers multimodal --attacks pgd,token_substitution,joint --adaptive
    jobs/evaluate.py RUN --classifiers multimodal --data my_pairs/                           metadata.csv beside the pictures

The same command goes on where it stopped; results of other attacks stay beside. Exit 0 done, 2 bad use or input.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from classifiers.evaluation.attack_suite import EPSILON, sanity_trials, trials_of
from classifiers.evaluation.captures import judged_by, kept_for
from classifiers.evaluation.cases import Case, cases_of
from classifiers.evaluation.gradient_checks import gradient_checks
from classifiers.evaluation.latency import latency
from classifiers.evaluation.metrics import measures, opened
from classifiers.evaluation.report import printed
from classifiers.evaluation.results import FOLDER
from classifiers.evaluation.tasks import EvaluationConfig, attacked_rows, carry_out_all, tasks_of
from classifiers.targets import targets_of
from jobs.command import DONE, positive, resolve_out, run_command
from jobs.recipes.named import run_with_recipe
from pipeline.recipe import Recipe, Without
from pipeline.rounds.ledger import recorded, root_digest, unrecorded
from schemas.catalogue import SPLITS


def main() -> int:
    """Judge what is not judged yet, ask, print."""
    given = parse()
    asked = asked_of(given)
    cases = cases_of(asked.store, asked.data)
    tasks = tasks_of(asked, cases)
    print(f"{len(cases)} rows, {len(tasks)} chunks of (scorer, attack)", file=sys.stderr)
    left = [task.chunk.name for task in tasks if not task.chunk.done(asked.store)]
    with recorded(asked.store, *left, by="jobs/evaluate.py") as written:
        for task in carry_out_all(asked.store, tasks, given.workers):
            print(f"  {task.chunk.name}: {len(task.keys)} rows", file=sys.stderr)
        written += unrecorded(asked.store, f"{FOLDER}/{asked.dataset}")
    found = summary(asked, cases, sanity=given.adaptive)
    if given.latency:
        found["latency"] = [
            latency(model := saved.load(), judged_by(asked.store, coverage, cases), kept_for(asked.store.url, model))
            for saved, coverage in asked.scorers
        ]
    name = f"{FOLDER}/{asked.dataset}/summary-{'-'.join(given.classifiers.split(','))}.json"
    with recorded(asked.store, name, by="jobs/evaluate.py"):
        asked.store.write(name, json.dumps(found, indent=1).encode())
    print(printed(found))
    print(f"rows {asked.store.url}/{FOLDER}/{asked.dataset}, figures {asked.store.url}/{name}")
    print(f"root {root_digest(asked.store)}")
    if given.json:
        print(json.dumps(found))
    return DONE


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("run", metavar="RUN", help="the run's folder or object-store url")
    add("--classifiers", required=True, metavar="A,B", help="names below RUN/models")
    add("--attacks", default="", metavar="X,Y", help="files of stages/attack; variants in the shards always count")
    add("--data", default="test", metavar="test|val|DIR", help="a split, or a folder with metadata.csv (default: test)")
    add("--adaptive", action="store_true", help="attack each classifier itself, and check the attacks")
    add("--epsilon", type=float, default=EPSILON, help="L-infinity budget in [0, 1] pixel units (default: 2/255)")
    add("--rows", default="500,150", metavar="N,M", help="unsafe and safe rows to attack (default: %(default)s)")
    add(
        "--judges",
        metavar="A,B",
        help="labellers for what an attack may have changed (default: those that the run's recipe trusts)",
    )
    add("--latency", action="store_true", help="also time each classifier, at batch 1 and at its best batch")
    add("--workers", type=positive, default=os.cpu_count() or 1, metavar="N", help="processes (default: %(default)s)")
    add("--json", action="store_true", help="print one summary object as the last line")
    given = parser.parse_args()
    if not all(part.isdecimal() for part in given.rows.split(",")) or given.rows.count(",") != 1:
        parser.error(f"--rows {given.rows}: expected two whole numbers, as in 500,150")
    return given


def asked_of(given: argparse.Namespace) -> EvaluationConfig:
    """The command line as what is asked for. Raises InputError for names that are none."""
    store, config, recipe = run_with_recipe(resolve_out(given.run))
    names = ",".join(f"models/{name.strip()}" for name in given.classifiers.split(",") if name.strip())
    scorers = tuple((saved, saved.load().coverage) for saved in targets_of(store, names, None))
    unsafe, safe = (int(part) for part in given.rows.split(","))
    wanted = [name.strip() for name in given.attacks.split(",") if name.strip()]
    trials = trials_of(wanted, given.adaptive, (unsafe, safe), given.epsilon)
    return EvaluationConfig(
        store=store,
        private=config.restricted,
        data=given.data if given.data in SPLITS else str(Path(given.data).absolute()),
        scorers=scorers,
        trials=(*trials, *(sanity_trials() if given.adaptive else ())),
        judges=judges_of(recipe) if given.judges is None else given.judges,
        held_out=recipe.held_out_attacks,
    )


def judges_of(recipe: Recipe) -> str:
    """Those that the recipe trusts. Nobody where it trusts none, which is said; what an attack changed is then `na`."""
    if isinstance(recipe.judges, Without):
        print(f"nobody judges anew what attacks changed (recipe {recipe.name}): {recipe.judges.why}", file=sys.stderr)
        return ""
    return ",".join(recipe.judges)


def summary(asked: EvaluationConfig, cases: Sequence[Case], sanity: bool) -> dict[str, Any]:
    """All figures of these scorers on this data, of every attack that their rows hold."""
    names = [Path(saved.folder).name for saved, _ in asked.scorers]
    with opened(asked.store, asked.dataset, names) as con:
        found: dict[str, Any] = {"run": asked.store.url, "dataset": asked.dataset, "scorers": names, **measures(con)}
    for saved, coverage in asked.scorers if sanity else ():
        judged = judged_by(asked.store, coverage, cases)
        rows, model = attacked_rows([case for case in judged if case.sample.clean], (16, 0)), saved.load()
        if rows:
            found["sanity"] += gradient_checks(model, rows, asked.dataset, kept_for(asked.store.url, model))
    return found


if __name__ == "__main__":
    run_command(main)
