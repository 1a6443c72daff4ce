#!/usr/bin/env python
"""Turn prompts into committed units of prompt/picture pairs.

    jobs/generate.py --out runs/mine --count 256
    jobs/generate.py --out runs/mine --prompts prompts.csv --column text --images-per-prompt 2
    jobs/generate.py --out runs/mine --recipe my_recipe.py:cats
    ray job submit --working-dir . -- python jobs/generate.py --out /shared/runs/mine

The same command on the same --out goes on where it stopped. Exit 0 done, 2 bad use or input, 3 done with quarantined samples.
"""

import argparse
import json
import time
from dataclasses import replace

from jobs.command import DONE, QUARANTINED, positive, resolve_out, run_command
from jobs.recipes.named import RECIPES, chosen, recipe_of
from jobs.recipes.prompts import roots
from jobs.recipes.restricted import check_restricted
from pipeline.engines.engine import run_units
from pipeline.engines.estimate import print_estimate
from pipeline.engines.progress import watched
from pipeline.rounds.existing_run import write_facts
from pipeline.rounds.ledger import root_digest
from pipeline.rounds.round import Round, environment, open_round, pending, run_digest
from pipeline.rounds.truncated import truncated_samples
from pipeline.storage.open_store import open_store
from schemas.run import RunConfig

ROUND = "rounds/000-generate"


def parse() -> tuple[RunConfig, bool, bool]:
    """The run's facts, and whether to estimate only, and whether to print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--out", default="runs/generate", help="a folder or object-store url for the run (default: %(default)s)")
    add(
        "--recipe",
        default="pictogram",
        metavar="NAME",
        help=f"what is done: {', '.join(sorted(RECIPES))}, or yours: FILE.py:FUNCTION (default: %(default)s)",
    )
    add("--prompts", metavar="FILE", help="file, datasets folder or hub id; several: A,B,grammar")
    add("--column", metavar="NAME", help="the column that holds the prompts (default: prompt)")
    add("--skip-bad-rows", action="store_true", help="leave out rows that break a file's shape, and count them")
    add("--count", type=positive, help="prompts to make, or to take of the file (default: 256, or all of the file)")
    add("--images-per-prompt", type=positive, default=1, metavar="K")
    add("--engine", choices=("local", "ray"), default="ray")
    add("--workers", type=positive, metavar="N", help="default: every accelerator, or every core but one")
    add("--seed", type=int, default=0)
    add("--model", metavar="DIR_OR_ID", help="a directory or hub id, for recipes that take weights of yours")
    add("--restricted", action="store_true", help="allow weights from outside; the run is readable to you only")
    add("--picture-check", metavar="MODULE:FUNCTION", help="with --restricted: your check of every finished picture")
    add("--hash-list", metavar="FILE", help="with --restricted: perceptual hashes that must not be made")
    add("--dry-run", action="store_true", help="print units, images, expected bytes and time; write nothing")
    add("--json", action="store_true", help="print one summary object as the last line")
    given = vars(parser.parse_args())
    dry_run, as_json = given.pop("dry_run"), given.pop("json")
    config = RunConfig(**given)
    return chosen(replace(config, out=resolve_out(config.out))), dry_run, as_json


def main() -> int:
    """Plan, carry out what is left of the plan, and sum up."""
    config, dry_run, as_json = parse()
    check_restricted(config)
    recipe = recipe_of(config)
    items = roots(config, recipe.prompts)
    plan = recipe.plan(items, config.seed)
    if dry_run:
        return print_estimate(plan, config, as_json)
    store = open_store(config.out, private=config.restricted)
    started = time.monotonic()
    round_ = open_round(store, ROUND, plan)
    write_facts(store, config, environment())
    if items.left_out:
        print(f"prompts left out: {items.left_out_line()}")
    left = pending(round_)
    receipts = run_units(config.engine, config.workers, plan, round_, left)
    made = sum(receipt.samples for receipt in watched(receipts, round_.units, round_.units - len(left)))
    return summarise(round_, made, items.left_out, time.monotonic() - started, as_json)


def summarise(round_: Round, made: int, left_out: dict[str, int], seconds: float, as_json: bool) -> int:
    """Print what the round holds now; exit code 3 if anything is in quarantine."""
    receipts = list(round_.receipts())
    quarantined = sum(receipt.quarantined for receipt in receipts)
    summary = {
        "out": round_.store.url,
        "left_out": left_out,
        "units": len(receipts),
        "samples": sum(receipt.samples for receipt in receipts),
        "dropped": sum(receipt.dropped for receipt in receipts),
        "quarantined": quarantined,
        "seconds": round(seconds, 2),
        "images_per_second": round(made / seconds, 2),
        "truncated": truncated_samples(round_.store, round_.folder),
        "digest": run_digest(receipts),
        "root": root_digest(round_.store),
    }
    print(
        f"{summary['samples']} pairs in {summary['units']} units at {summary['out']} "
        f"({made} made now, {summary['images_per_second']}/s); {summary['dropped']} dropped, {quarantined} quarantined"
    )
    if summary["truncated"]:
        print(
            f"{summary['truncated']} prompts were longer than the text encoders read: the pictures show their beginning only "
            "(columns truncated, prompt_tokens, encoder_tokens, generation_prompt)"
        )
    if quarantined:
        print(f"see {round_.store.url}/{round_.folder}/quarantine/*.parquet for the samples and the reasons")
    print(f"root {summary['root']}")
    if as_json:
        print(json.dumps(summary))
    return QUARANTINED if quarantined else DONE


if __name__ == "__main__":
    run_command(main)
