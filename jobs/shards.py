#!/usr/bin/env python
"""Turn a run's committed pairs into shards: signatures, groups, splits, balance, keep-list, tars.

    jobs/shards.py runs/mine --workers 2
    jobs/shards.py s3://bucket/runs/mine --engine ray

The same command goes on where it stopped, and takes in what was added since; no sample ever changes its split.
"""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from jobs.command import DONE, QUARANTINED, ScatteredCommand, report, resolve_out, run_command, say, tell_root, warn
from jobs.command.flags import Run

if TYPE_CHECKING:
    from pipeline.storage.store import Store


@dataclass(frozen=True, kw_only=True)
class Shards(ScatteredCommand):
    """Which run."""

    exits: ClassVar = {QUARANTINED: "done, but a kept sample's picture was not what was committed"}

    run: Run


def main(config: Shards) -> int:
    """Sign, group, keep, write."""
    from jobs.recipes.named import run_with_recipe
    from pipeline.engines.engine import EngineOptions
    from stages.rounds.shards_round import make_shards

    store, facts, recipe = run_with_recipe(resolve_out(config.run))
    started = time.monotonic()
    manifest = make_shards(store, facts, recipe.sharding(), EngineOptions(config.engine, config.workers))
    describe(store, manifest)
    quarantined = sum(manifest["made_from"]["kept"].values()) - manifest["samples"]
    summary: dict[str, Any] = {
        "run": store.url,
        "seconds": round(time.monotonic() - started, 2),
        "quarantined": quarantined,
    }
    counts = {"digest": manifest["digest"], "shards": len(manifest["shards"]), "samples": manifest["samples"]}
    summary["root"] = tell_root(store)
    summary["warnings"] = useless_splits(store)
    for text in summary["warnings"]:
        warn(text)
    report(config, summary | counts | manifest["made_from"])
    return QUARANTINED if quarantined else DONE


def describe(store: "Store", manifest: dict[str, Any]) -> None:
    """Say what the shards hold."""
    from pipeline.dataset.shards import FOLDER

    inputs = manifest["made_from"]
    biggest = inputs["largest_group"]
    glue = biggest["glue"]
    say(
        f"{manifest['samples']} of {inputs['samples']} pairs in {len(manifest['shards'])} shards at {store.url}/{FOLDER}"
    )
    say("  " + ", ".join(f"{split} {count}" for split, count in inputs["kept"].items()))
    say("  test: " + ", ".join(f"{name} {count}" for name, count in inputs["test_sets"].items()))
    say("  left out: " + (", ".join(f"{count} {why}" for why, count in inputs["left_out"].items()) or "nothing"))
    glued = f", glued by {glue['kind']} {glue['a']}–{glue['b']} at {glue['distance']}" if glue["kind"] else ""
    say(f"  {inputs['groups']} groups; the largest holds {biggest['size']} ({biggest['share']:.2%}){glued}")


def useless_splits(store: "Store") -> list[str]:
    """What makes the shards of no use to a classifier: no labels, most of them `na`, or a split that lacks a label."""
    from pipeline.catalogue.split_labels import split_labels

    counts = split_labels(store)
    if not any(count for by in counts.values() for count in by.values()):
        return [
            "no kept sample has a label: jobs/label.py RUN --labellers A,B, then --aggregate majority, then this again"
        ]
    messages = []
    for split, by in counts.items():
        total = sum(by.values())
        if by["na"] * 2 > total:
            messages.append(f"{split}: {by['na']} of {total} rows are `na`, of which nothing can be learnt or measured")
        messages += [
            f"{split} has no {label} row, so that no rate can be measured"
            for label in ("safe", "unsafe")
            if not by[label]
        ]
    return messages


if __name__ == "__main__":
    run_command(main)
