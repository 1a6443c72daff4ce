#!/usr/bin/env python
"""Take samples out of a run for good: their bytes, rows and votes, all that derives from them, and the shards that hold them.

    jobs/revoke.py runs/mine --keys keys.txt
    jobs/revoke.py runs/mine --keys keys.txt --reason "takedown 17"

FILE has one key a line: of a prompt (all its pictures go), of a picture, of a variant. The ledger (revoked.parquet) keeps keys,
time and reason; no later shard takes them in again. With bad input nothing is touched.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from typer import Option

from jobs.command import DONE, LocalCommand, report, resolve_out, run_command, say, tell_root
from jobs.command.flags import Run
from jobs.command.keys import read_keys


@dataclass(frozen=True, kw_only=True)
class Revoke(LocalCommand):
    """What goes, and why."""

    run: Run
    keys: Annotated[Path, Option(metavar="FILE", help="one key a line")]
    reason: Annotated[str, Option(metavar="TEXT", help="kept in the ledger")] = ""


def main(config: Revoke) -> int:
    """Ledger first, then the rounds, then the shards."""
    from jobs.recipes.named import run_with_recipe
    from pipeline.catalogue.gather import REVOKED
    from pipeline.catalogue.views import refresh
    from pipeline.dataset.manifest import read_manifest
    from pipeline.dataset.revocation import enter, ledger, may_change, remove, with_descendants
    from pipeline.dataset.shards import MANIFEST
    from pipeline.engines.engine import EngineOptions
    from pipeline.rounds.audit_log import append
    from pipeline.rounds.ledger import recorded
    from pipeline.votes.review_revocation import scrub_reviews
    from stages.rounds.shards_round import write_shards

    keys = read_keys(config.keys)
    store, facts, recipe = run_with_recipe(resolve_out(config.run))
    gone = with_descendants(store, keys)
    fresh = len(gone - {*ledger(store)["key"].to_pylist()})
    append(store, "revoke", {"samples": len(gone), "asked": len(keys), "reason": config.reason}, by="jobs/revoke.py")
    with recorded(store, *may_change(store), by="jobs/revoke.py") as written:
        entered = enter(store, gone, config.reason)
        removal = remove(store, entered["key"].to_pylist())
        written[:] = [REVOKED, *(name for name in removal.files if name in may_change(store))]
    scrub_reviews(store, gone)
    rewritten = 0
    if store.size(MANIFEST) is not None:
        manifest = read_manifest(store)
        figures = _without(manifest["made_from"], gone) | {"revoked": len(entered)}
        now = write_shards(store, facts, recipe.sharding(), EngineOptions("local"), figures)
        known = [shard["files"] for shard in manifest["shards"]]
        rewritten = sum(shard["files"] not in known for shard in now["shards"])
    refresh(store)
    before = f", {len(gone) - fresh} were revoked already" if fresh < len(gone) else ""
    what = "sample was" if fresh == 1 else "samples were"
    say(
        f"{fresh} {what} revoked now ({len(keys)} keys asked for{before}); {removal.units} units and {rewritten} shards "
        "written again"
    )
    say(f"the ledger {store.url}/revoked.parquet holds {len(entered)}; models trained before still know them")
    counts = {
        "revoked": fresh,
        "already_revoked": len(gone) - fresh,
        "units": removal.units,
        "shards": rewritten,
        "ledger": len(entered),
    }
    report(config, {**counts, "root": tell_root(store)})
    return DONE


def _without(figures: dict[str, Any], gone: set[str]) -> dict[str, Any]:
    """The figures of the keep-list as it was made, without the names of what is gone."""
    biggest = figures["largest_group"]
    glue = {name: None if name in ("a", "b") and value in gone else value for name, value in biggest["glue"].items()}
    return {**figures, "largest_group": {**biggest, "glue": glue}}


if __name__ == "__main__":
    run_command(main)
