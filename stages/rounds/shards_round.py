"""Shards of a run: signatures, the keep-list, and the tars."""

from typing import Any

from pipeline.catalogue.duck import scratch_database
from pipeline.catalogue.gather import GROUPS, KEEP
from pipeline.catalogue.views import refresh
from pipeline.dataset.manifest import beside_shards, write_manifest
from pipeline.dataset.shards import (
    FOLDER,
    MANIFEST,
    KeptItems,
    PackShard,
    ShardPlan,
    adopt_unchanged,
    keep_digest,
    remove_stale,
    slots_of,
)
from pipeline.engines.engine import EngineOptions
from pipeline.plan import Plan
from pipeline.recipe import SIGNATURES_A_UNIT, ShardRecipe
from pipeline.rounds.items import CommittedItems, MissingSignatures
from pipeline.rounds.ledger import recorded
from pipeline.rounds.round import open_round
from pipeline.rounds.rounds import further_round, rounds_with
from pipeline.rounds.seal import NAME as SEAL
from pipeline.rounds.signatures import SUFFIX, PackSignatures, resumed, signature_rounds, signed_keys, unfinished
from pipeline.selection.keep import make_keep_list
from pipeline.storage.store import Store
from schemas.run import RunConfig
from stages.image_io.fetch_bytes import FetchBytes
from stages.image_io.fetch_picture import FetchPicture


def make_shards(store: Store, config: RunConfig, recipe: ShardRecipe, means: EngineOptions) -> dict[str, Any]:
    """Bring the run's shards up to date; returns the manifest."""
    compute_signatures(store, recipe, means)
    with recorded(store, GROUPS, KEEP, by="jobs/shards.py"), scratch_database() as con:
        figures = make_keep_list(con, store, recipe.rules)
    return write_shards(store, config, recipe, means, figures)


def write_shards(
    store: Store, config: RunConfig, recipe: ShardRecipe, means: EngineOptions, figures: dict[str, Any]
) -> dict[str, Any]:
    """Bring the shards up to date with the keep-list; what it leaves as it is is not written again. Returns the manifest."""
    slots = slots_of(store)
    pack = PackShard(slots, keep_digest(store), store.url)
    plan = ShardPlan((FetchBytes(url=store.url),), KeptItems(store), recipe.rules.per_shard, config.seed, pack=pack)
    # Shards are derived: another plan takes the place of the last one, and keeps what it leaves as it is.
    with recorded(store, MANIFEST, f"{FOLDER}/{SEAL}", by="jobs/shards.py") as written:
        store.delete(f"{FOLDER}/{SEAL}")
        store.delete(f"{FOLDER}/round.json")
        round_ = open_round(store, FOLDER, plan)
        adopt_unchanged(store, round_)
        means.carry_out(plan, round_, "writing shards")
        remove_stale(store, slots)
        manifest = write_manifest(store, round_, figures)
        written += beside_shards(store, manifest)
    refresh(store)
    return manifest


def compute_signatures(store: Store, recipe: ShardRecipe, means: EngineOptions) -> None:
    """Finish the rounds of signatures that were begun, then sign in a further one what none has signed yet."""
    stages = (FetchPicture(url=store.url), *recipe.stages)
    rounds = signature_rounds(store, stages)
    for round_, _ in unfinished(rounds):
        means.carry_out(resumed(round_, stages), round_, "signing")
    items = MissingSignatures(CommittedItems(store, rounds_with(store, "raw")), signed_keys(store, rounds))
    if next(iter(items), None) is None:
        return
    plan = Plan(stages, items, SIGNATURES_A_UNIT, seed=0, pack=PackSignatures())
    means.carry_out(plan, open_round(store, further_round(store, SUFFIX), plan), "signing")
