#!/usr/bin/env python
"""Attack a run's clean samples and append the variants as further rounds, one for each family (text, image, joint).

    jobs/attack.py RUN --attacks homoglyphs,recompress              non-adaptive: no classifier, every clean sample
    jobs/attack.py RUN --attacks pgd,token_substitution --against models/late_fusion
    jobs/attack.py RUN --attacks joint --against models/text,models/image

The same command goes on where it stopped. Text variants get pictures of their own. Exit 0 done, 2 bad use or input, 3 done with
quarantined samples.
"""

import argparse
import json
import time

from classifiers.targets import targets_of
from jobs.command import DONE, QUARANTINED, positive, resolve_out, run_command
from jobs.recipes.named import run_with_recipe
from pipeline.engines.resumable import OpenedRound
from pipeline.rounds.ledger import root_digest
from pipeline.rounds.round import pending, run_digest
from stages.attack.by_name import attacks_of
from stages.rounds.attack_round import open_attack_round


def main() -> int:
    """One round a family, one summary."""
    given = parse()
    store, config, recipe = run_with_recipe(resolve_out(given.run))
    targets = targets_of(store, given.against, given.digest)
    attacks = attacks_of(given.attacks, targets, given.aim, given.epsilon)
    rounds = []
    for family, some in attacks.items():
        opened = open_attack_round(store, config, recipe, family, some, targets=targets, aim=given.aim)
        rounds.append(carry_out(opened, given.engine, given.workers))
        print("  ".join(f"{name} {value}" for name, value in rounds[-1].items()))
    root = root_digest(store)
    print(f"root {root}")
    if given.json:
        print(json.dumps({"run": store.url, "rounds": rounds, "root": root}))
    return QUARANTINED if any(round_["quarantined"] for round_ in rounds) else DONE


def carry_out(opened: OpenedRound, engine: str, workers: int | None = None) -> dict[str, object]:
    """Do what is left of a round; its summary."""
    started = time.monotonic()
    made = sum(receipt.samples for receipt in opened.carry_out(engine, workers))
    receipts = list(opened.round.receipts())
    return {
        "round": opened.round.folder,
        "units": len(receipts),
        "pending": len(pending(opened.round)),
        "variants": sum(receipt.samples for receipt in receipts),
        "passed_over": sum(receipt.dropped for receipt in receipts),
        "quarantined": sum(receipt.quarantined for receipt in receipts),
        "made_now": made,
        "seconds": round(time.monotonic() - started, 2),
        "digest": run_digest(receipts),
    }


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("run", metavar="RUN", help="the run's folder or object-store url")
    add("--attacks", required=True, metavar="A,B", help="files of stages/attack")
    add("--against", metavar="A,B", help="classifiers: models/NAME of the run, or a folder with --digest")
    add("--digest", metavar="HEX", help="digests of classifiers that this run did not train")
    add(
        "--aim",
        default="evade",
        help="evade (what is flagged), false_flag (what passes) or both (default: %(default)s)",
    )
    add("--epsilon", type=float, help="L-infinity budget in [0, 1] pixel units (default: 4/255)")
    add("--engine", choices=("local", "ray"), default="ray")
    add("--workers", type=positive, metavar="N", help="default: every accelerator, or every core but one")
    add("--json", action="store_true", help="print one summary object as the last line")
    return parser.parse_args()


if __name__ == "__main__":
    run_command(main)
