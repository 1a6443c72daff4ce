#!/usr/bin/env python
"""Try the quarantined samples of a run again: jobs/retry.py RUN [--engine local|ray] [--workers N]

What succeeds now is committed in a round of its own (`rounds/NNN-retry-STAGE`); what fails again is in that round's quarantine.
"""

import argparse

from jobs.command import DONE, QUARANTINED, run_command
from jobs.recipes.named import RECIPES
from jobs.recipes.prompts import roots
from pipeline.engines.engine import run_units
from pipeline.engines.progress import watched
from pipeline.rounds.round import open_round, pending
from pipeline.rounds.rounds import next_round
from pipeline.storage.open_store import open_store
from schemas.errors import InputError
from schemas.run import RunConfig
from stages.rounds.retry_round import retry_plans


def main() -> int:
    """One round for each stage that failed; exit code 3 if something is in quarantine still."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN", help="a run's folder or object-store url")
    parser.add_argument("--engine", choices=("local", "ray"), default="ray")
    parser.add_argument("--workers", type=int)
    given = parser.parse_args()
    store = open_store(given.run)
    facts = store.read("run.json")
    if facts is None:
        raise InputError(f"{given.run}: there is no run.json, so it is no run of jobs/generate.py")
    config = RunConfig.from_json(facts)
    plan = RECIPES[config.recipe](config, roots(config))
    made = bad = 0
    for name, again in retry_plans(store, "rounds/000-generate", plan):
        round_ = open_round(store, next_round(store, name), again)
        left = pending(round_)
        for receipt in watched(run_units(given.engine, given.workers, again, round_, left), round_.units, 0):
            made, bad = made + receipt.samples, bad + receipt.quarantined
    print(f"{made} samples are whole now, {bad} failed again")
    return QUARANTINED if bad else DONE


if __name__ == "__main__":
    run_command(main)
