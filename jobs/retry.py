#!/usr/bin/env python
"""Try the quarantined samples of a run again: jobs/retry.py RUN [--engine local|ray] [--workers N]

What succeeds now is committed in a round of its own (`rounds/NNN-retry-STAGE`); what fails again is in that round's quarantine.
Where all of them fail, the stage is broken and nothing is committed: mend it and give the command again, or take the empty round
back with jobs/retry.py RUN --undo. Exit 0 done, 1 the stage is broken, 2 bad use or input, 3 done with quarantined samples.
"""

import argparse

from jobs.command import DONE, QUARANTINED, resolve_out, run_command
from jobs.recipes.named import run_with_recipe
from jobs.recipes.prompts import generating_plan
from pipeline.engines.engine import run_units
from pipeline.engines.progress import watched
from pipeline.rounds.ledger import root_digest
from pipeline.rounds.round import open_round, pending
from pipeline.rounds.rounds import next_round
from stages.rounds.retry_round import retry_plans, undo_empty_retries


def main() -> int:
    """One round for each stage that failed; exit code 3 if something is in quarantine still."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN", help="a run's folder or object-store url")
    parser.add_argument("--engine", choices=("local", "ray"), default="ray")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--undo", action="store_true", help="delete the rounds of retries that committed nothing")
    given = parser.parse_args()
    store, config, recipe = run_with_recipe(resolve_out(given.run))
    if given.undo:
        undone = undo_empty_retries(store)
        print(f"{len(undone)} empty rounds were taken back" + "".join(f"\n  {folder}" for folder in undone))
        return DONE
    plan = generating_plan(config, recipe)
    made = bad = 0
    for name, again in retry_plans(store, "rounds/000-generate", plan):
        round_ = open_round(store, next_round(store, name), again)
        left = pending(round_)
        for receipt in watched(run_units(given.engine, given.workers, again, round_, left), round_.units, 0):
            made, bad = made + receipt.samples, bad + receipt.quarantined
    print(f"{made} samples are whole now, {bad} failed again")
    print(f"root {root_digest(store)}")
    return QUARANTINED if bad else DONE


if __name__ == "__main__":
    run_command(main)
