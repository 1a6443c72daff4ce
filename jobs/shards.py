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
from typing import Any

from jobs.command import DONE, QUARANTINED, positive, resolve_out, run_command
from jobs.recipes.named import run_with_recipe
from pipeline.dataset.shards import (
    FOLDER,
)
from pipeline.engines.engine import EngineOptions
from pipeline.rounds.ledger import root_digest
from pipeline.storage.store import Store
from stages.rounds.shards_round import make_shards


def main() -> int:
    """Sign, group, keep, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN", help="a run's folder or object-store url")
    parser.add_argument("--engine", choices=("local", "ray"), default="ray")
    parser.add_argument("--workers", type=positive, metavar="N", help="default: every core but one (Ray)")
    parser.add_argument("--json", action="store_true", help="print one summary object as the last line")
    given = parser.parse_args()
    store, config, recipe = run_with_recipe(resolve_out(given.run))
    started = time.monotonic()
    manifest = make_shards(store, config, recipe.sharding(), EngineOptions(given.engine, given.workers))
    return summarise(store, manifest, time.monotonic() - started, given.json)


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
    root = root_digest(store)
    print(f"root {root}")
    if as_json:
        summary = {
            "root": root,
            "run": store.url,
            "seconds": round(seconds, 2),
            "quarantined": quarantined,
            "digest": manifest["digest"],
        }
        print(json.dumps(summary | {"shards": len(manifest["shards"]), "samples": manifest["samples"]} | made))
    return QUARANTINED if quarantined else DONE


if __name__ == "__main__":
    run_command(main)
