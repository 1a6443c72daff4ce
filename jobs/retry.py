#!/usr/bin/env python
"""Try the quarantined samples of a run again.

    jobs/retry.py runs/mine
    jobs/retry.py s3://bucket/runs/mine --workers 4

What succeeds now is committed in a round of its own (`rounds/NNN-retry-STAGE`); what fails again is in that round's quarantine.
Where all of them fail, the stage is broken and nothing is committed: mend it and give the command again, or take the empty round
back with --undo.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from typer import Option

from jobs.command import DONE, QUARANTINED, ScatteredCommand, report, resolve_out, run_command, say, tell_root
from jobs.command.flags import Run


@dataclass(frozen=True, kw_only=True)
class Retry(ScatteredCommand):
    """Which run."""

    exits: ClassVar = {QUARANTINED: "done, but something is in quarantine still"}

    run: Run
    undo: Annotated[bool, Option("--undo", help="delete the rounds of retries that committed nothing")] = False


def main(config: Retry) -> int:
    """One round for each stage that failed."""
    from jobs.recipes.named import run_with_recipe
    from jobs.recipes.prompts import generating_plan
    from pipeline.engines.engine import EngineOptions
    from pipeline.rounds.round import as_begun, open_round
    from pipeline.rounds.rounds import next_round
    from stages.rounds.retry_round import retry_plans, undo_empty_retries

    store, facts, recipe = run_with_recipe(resolve_out(config.run))
    if config.undo:
        undone = undo_empty_retries(store)
        say(f"{len(undone)} empty rounds were taken back" + "".join(f"\n  {folder}" for folder in undone))
        report(config, {"run": store.url, "undone": undone})
        return DONE
    plan = as_begun(store, "rounds/000-generate", generating_plan(facts, recipe))
    samples = bad = 0
    for name, again in retry_plans(store, "rounds/000-generate", plan):
        round_ = open_round(store, next_round(store, name), again)
        EngineOptions(config.engine, config.workers).carry_out(again, round_, "trying again")
        receipts = list(round_.receipts())
        samples += sum(receipt.samples for receipt in receipts)
        bad += sum(receipt.quarantined for receipt in receipts)
    say(f"{samples} samples are whole now, {bad} failed again")
    report(config, {"run": store.url, "samples": samples, "quarantined": bad, "root": tell_root(store)})
    return QUARANTINED if bad else DONE


if __name__ == "__main__":
    run_command(main)
