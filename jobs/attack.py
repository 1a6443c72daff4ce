#!/usr/bin/env python
"""Attack a run's clean samples and append the variants as further rounds, one for each family (text, image, joint).

    jobs/attack.py RUN --attacks homoglyphs,recompress              non-adaptive: no classifier, every clean sample
    jobs/attack.py RUN --attacks pgd,token_substitution --against late_fusion
    jobs/attack.py RUN --attacks joint --against text,image --samples 500

The same command goes on where it stopped. Text variants get pictures of their own.
"""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from typer import Option

from jobs.command import DONE, QUARANTINED, ScatteredCommand, report, resolve_out, run_command, say, tell_root, warn
from jobs.command.flags import Aim, Attacks, Digest, Epsilon, Run
from schemas.budgets import EPSILON

BUDGET = 1000  # clean samples of a round against a classifier, which takes seconds for each
LONG = 3  # units: what takes less is not timed first

if TYPE_CHECKING:
    from pipeline.engines.resumable import OpenedRound


@dataclass(frozen=True, kw_only=True)
class AttackCommand(ScatteredCommand):
    """Who attacks what."""

    lists = ("attacks",)
    exits: ClassVar = {QUARANTINED: "done, with quarantined samples"}

    run: Run
    attacks: Attacks
    against: Annotated[
        str | None,
        Option(metavar="A,B", help="classifiers: NAME below RUN/models, embedded:NAME, or a folder with --digest"),
    ] = None
    digest: Digest = None
    aim: Aim = "evade"
    epsilon: Epsilon = EPSILON
    samples: Annotated[
        int | None,
        Option(
            min=1,
            metavar="N",
            help=f"clean samples to attack, chosen by key (default: {BUDGET} with --against)",
        ),
    ] = None


def main(config: AttackCommand) -> int:
    """One round a family, one summary."""
    from classifiers.targets import targets_of
    from jobs.recipes.named import run_with_recipe
    from stages.attack.by_name import attacks_of
    from stages.rounds.attack_round import open_attack_round

    store, facts, recipe = run_with_recipe(resolve_out(config.run))
    targets = targets_of(store, config.against, config.digest)
    attacks = attacks_of(config.attacks, targets, config.aim, config.epsilon)
    rounds = []
    for family, some in attacks.items():
        count = config.samples or (BUDGET if targets else None)
        opened = open_attack_round(store, facts, recipe, family, some, targets=targets, aim=config.aim, count=count)
        if config.samples is None and targets and opened.round.items == BUDGET:
            say(f"the first {BUDGET} clean samples by key are attacked; --samples N takes another number")
        tell_cost(opened, config.engine, config.workers)
        rounds.append(carry_out(opened, config.engine, config.workers))
        say("  ".join(f"{name} {value}" for name, value in rounds[-1].items()))
        if targets and not rounds[-1]["variants"] and not rounds[-1]["pending"]:
            what = {"evade": "flag nothing", "false_flag": "let nothing by"}.get(config.aim, "decide nothing")
            warn(
                f"{config.against} {what} of {opened.round.items} samples, so that no variant was made: train it better first"
            )
    report(config, {"run": store.url, "rounds": rounds, "root": tell_root(store)})
    return QUARANTINED if any(round_["quarantined"] for round_ in rounds) else DONE


def tell_cost(opened: "OpenedRound", engine: str, workers: int | None) -> None:
    """Before a long round: what it will take, by one batch that is tried. Nothing for what one or two units hold."""
    from pipeline.engines.estimate import calibrate, default_workers, duration
    from pipeline.rounds.round import pending

    left = len(pending(opened.round))
    if left < LONG:
        return
    samples = round(opened.round.items * left / opened.round.units)
    measured = calibrate(opened.plan, engine)
    seconds = samples * measured.seconds / measured.items / (workers or default_workers(engine))
    say(
        f"{samples} samples in {left} units: about {duration(seconds)}, as a batch of {measured.items} took "
        f"{measured.seconds:.1f} s; Ctrl-C commits what is done, and the same command goes on"
    )


def carry_out(opened: "OpenedRound", engine: str, workers: int | None = None) -> dict[str, object]:
    """Do what is left of a round; its summary."""
    from pipeline.rounds.round import pending, run_digest

    started = time.monotonic()
    samples = sum(receipt.samples for receipt in opened.carry_out(engine, workers))
    receipts = list(opened.round.receipts())
    return {
        "round": opened.round.folder,
        "units": len(receipts),
        "pending": len(pending(opened.round)),
        "variants": sum(receipt.samples for receipt in receipts),
        "passed_over": sum(receipt.dropped for receipt in receipts),
        "quarantined": sum(receipt.quarantined for receipt in receipts),
        "made_now": samples,
        "seconds": round(time.monotonic() - started, 2),
        "digest": run_digest(receipts),
    }


if __name__ == "__main__":
    run_command(main)
