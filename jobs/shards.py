#!/usr/bin/env python
"""Turn a run's committed pairs into shards: signatures, groups, splits, balance, keep-list, tars.

    jobs/shards.py runs/mine --workers 2
    jobs/shards.py s3://bucket/runs/mine --engine ray

The same command goes on where it stopped, and takes in what was added since; no sample ever changes its split.
Exit 0 done, 2 bad use or input, 3 done with quarantined samples.
"""

import argparse
import json
import time
from dataclasses import dataclass
from typing import Any

from jobs.command import DONE, QUARANTINED, resolve_out, run_command
from jobs.generate import positive
from jobs.progress import watched
from jobs.sharding import SIGNATURES_A_UNIT, ShardRecipe, recipe_of
from pipeline.catalogue.duck import scratch_database
from pipeline.catalogue.keep import make_keep_list
from pipeline.catalogue.runs import existing_run
from pipeline.catalogue.views import refresh
from pipeline.engine import run_units
from pipeline.plan import Plan
from pipeline.round import Round, open_round, pending
from pipeline.shards import (
    FOLDER,
    KeptItems,
    PackShard,
    ShardPlan,
    adopt_unchanged,
    keep_digest,
    remove_stale,
    slots_of,
    write_manifest,
)
from pipeline.signatures import (
    SUFFIX,
    PackSignatures,
    Unsigned,
    further_round,
    resumed,
    rounds_with,
    signature_rounds,
    signed_keys,
    unfinished,
)
from pipeline.store import Store
from schemas.run import RunConfig
from stages.committed.fetch_bytes import FetchBytes
from stages.committed.items import CommittedItems


@dataclass(frozen=True)
class Means:
    """Where units run."""

    engine: str = "local"
    workers: int | None = None

    def carry_out(self, plan: Plan, round_: Round, what: str) -> None:
        """Run what is left of a round."""
        left = pending(round_)
        receipts = run_units(self.engine, self.workers, plan, round_, left)
        for _ in watched(receipts, round_.units, round_.units - len(left), what):
            pass


def main() -> int:
    """Sign, group, keep, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN", help="a run's folder or object-store url")
    parser.add_argument("--engine", choices=("local", "ray"), default="ray")
    parser.add_argument("--workers", type=positive, metavar="N", help="default: every core but one (Ray)")
    parser.add_argument("--json", action="store_true", help="print one summary object as the last line")
    given = parser.parse_args()
    store, config = existing_run(resolve_out(given.run))
    started = time.monotonic()
    recipe = recipe_of(config, store.url)
    manifest = make_shards(store, config, recipe, Means(given.engine, given.workers))
    return summarise(store, manifest, time.monotonic() - started, given.json)


def make_shards(store: Store, config: RunConfig, recipe: ShardRecipe, means: Means) -> dict[str, Any]:
    """Bring the run's shards up to date; returns the manifest."""
    sign(store, recipe, means)
    with scratch_database() as con:
        figures = make_keep_list(con, store, recipe.rules)
    return write_shards(store, config, recipe, means, figures)


def write_shards(
    store: Store, config: RunConfig, recipe: ShardRecipe, means: Means, figures: dict[str, Any]
) -> dict[str, Any]:
    """Bring the shards up to date with the keep-list; what it leaves as it is is not written again. Returns the manifest."""
    slots = slots_of(store)
    pack = PackShard(slots, keep_digest(store), store.url)
    plan = ShardPlan((FetchBytes(url=store.url),), KeptItems(store), recipe.rules.per_shard, config.seed, pack=pack)
    # Shards are derived: another plan takes the place of the last one, and keeps what it leaves as it is.
    store.delete(f"{FOLDER}/round.json")
    round_ = open_round(store, FOLDER, plan)
    adopt_unchanged(store, round_)
    means.carry_out(plan, round_, "writing shards")
    remove_stale(store, slots)
    manifest = write_manifest(store, round_, figures)
    refresh(store)
    return manifest


def sign(store: Store, recipe: ShardRecipe, means: Means) -> None:
    """Finish the rounds of signatures that were begun, then sign in a further one what none has signed yet."""
    rounds = signature_rounds(store, recipe.stages)
    for round_, _ in unfinished(rounds):
        means.carry_out(resumed(round_, recipe.stages), round_, "signing")
    items = Unsigned(CommittedItems(store, rounds_with(store, "raw")), signed_keys(store, rounds))
    if next(iter(items), None) is None:
        return
    plan = Plan(recipe.stages, items, SIGNATURES_A_UNIT, seed=0, pack=PackSignatures())
    means.carry_out(plan, open_round(store, further_round(store, SUFFIX), plan), "signing")


def summarise(store: Store, manifest: dict[str, Any], seconds: float, as_json: bool) -> int:
    """Print what the shards hold; exit code 3 if a kept sample's picture was not what was committed."""
    made = manifest["made_from"]
    quarantined = sum(made["kept"].values()) - manifest["samples"]
    biggest = made["largest_group"]
    glue = biggest["glue"]
    print(
        f"{manifest['samples']} of {made['samples']} pairs in {len(manifest['shards'])} shards at {store.url}/{FOLDER}"
    )
    print("  " + ", ".join(f"{split} {count}" for split, count in made["kept"].items()))
    print("  test: " + ", ".join(f"{name} {count}" for name, count in made["test_sets"].items()))
    print("  left out: " + (", ".join(f"{count} {why}" for why, count in made["left_out"].items()) or "nothing"))
    print(f"  {made['groups']} groups; the largest holds {biggest['size']} ({biggest['share']:.2%})", end="")
    print(f", glued by {glue['kind']} {glue['a']}–{glue['b']} at {glue['distance']}" if glue["kind"] else "")
    if as_json:
        summary = {
            "run": store.url,
            "seconds": round(seconds, 2),
            "quarantined": quarantined,
            "digest": manifest["digest"],
        }
        print(json.dumps(summary | {"shards": len(manifest["shards"]), "samples": manifest["samples"]} | made))
    return QUARANTINED if quarantined else DONE


if __name__ == "__main__":
    run_command(main)
