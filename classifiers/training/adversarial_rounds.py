"""What hardening adds to a run: variants that turn the current classifier, their labels, and shards with them in."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow.parquet as pq

from classifiers.saved import Saved
from pipeline.catalogue.gather import KEEP
from pipeline.engines.engine import EngineOptions
from pipeline.engines.resumable import open_or_resume
from pipeline.pack import PackVotes
from pipeline.plan import Plan
from pipeline.recipe import Recipe
from pipeline.rounds.existing_run import taxonomy_of
from pipeline.rounds.items import CommittedItems
from pipeline.rounds.round import pending
from pipeline.rounds.rounds import rounds_with
from pipeline.stage import Stage
from pipeline.storage.store import Store
from pipeline.votes.aggregate import aggregate
from schemas.errors import HazmatError, InputError
from schemas.run import RunConfig
from schemas.sample import Sample
from stages.attack.by_name import attacks_of
from stages.attack.variants import Variants
from stages.image_io.fetch_picture import FetchPicture
from stages.label.by_name import labellers_of
from stages.rounds.attack_round import attack_plan
from stages.rounds.label_round import NEEDS_PICTURE, open_round_of
from stages.rounds.label_round import UNIT_SIZE as LABELLED_A_UNIT
from stages.rounds.shards_round import make_shards

TRAINED_ON = ("train", "val")
"""Splits that are attacked; what is made of test rows would stay in test and teach nothing."""


@dataclass(frozen=True, kw_only=True)
class AdversarialDataConfig:
    """Which `attacks` (names with commas between) are run against the classifier, on how many `samples`, and who labels what
    comes of it.
    """

    attacks: str
    samples: int
    labellers: str
    epsilon: float
    aim: str = "both"
    aggregate: str = "majority"
    means: EngineOptions = field(default_factory=EngineOptions)


@dataclass(frozen=True)
class TrainedSamples:
    """Clean samples of the shards that a classifier is trained on: `count` of them, first by key, which is a hash."""

    store: Store
    count: int

    def __iter__(self) -> Iterator[Sample]:
        wanted = self._keys()
        items = CommittedItems(self.store, rounds_with(self.store, "raw"))
        return (sample for sample in items if sample.key in wanted)

    def _keys(self) -> frozenset[str]:
        with self.store.open(KEEP) as file:
            kept = pq.ParquetFile(file).read(columns=["key", "split"]).to_pydict()
        trained = {key for key, split in zip(kept["key"], kept["split"], strict=True) if split in TRAINED_ON}
        clean = (s.key for s in CommittedItems(self.store, rounds_with(self.store, "raw")) if s.clean)
        return frozenset(sorted(trained.intersection(clean))[: self.count])


def add_variants(
    store: Store, config: RunConfig, recipe: Recipe, target: Saved, adding: AdversarialDataConfig
) -> dict[str, int]:
    """Attack, label, shard; how many variants by round. Whatever is there already is not made again.

    Raises InputError where there is nothing to attack, HazmatError where a round could not be finished.
    """
    items = TrainedSamples(store, adding.samples)
    if next(iter(items), None) is None:
        raise InputError(f"{store.url} has no clean sample in the shards of train and val; run jobs/shards.py first")
    counts = {}
    for family, attacks in attacks_of(adding.attacks, (target,), adding.aim, adding.epsilon).items():
        variants = Variants(attacks=attacks, targets=(target,), aim=adding.aim)
        plan = attack_plan(store, recipe, family, variants, items=items, seed=config.seed)
        names = "-".join(attack.name for attack in attacks)
        opened = open_or_resume(store, f"-attack-{family}-{names}", plan)
        opened.carry_out(adding.means.engine, adding.means.workers)
        if pending(opened.round):
            raise HazmatError(f"{opened.round.folder} was not finished; the same command goes on with it")
        counts[opened.round.folder] = sum(receipt.samples for receipt in opened.round.receipts())
    label_only(store, tuple(counts), adding)
    aggregate(store, adding.aggregate)
    make_shards(store, config, recipe.sharding(), adding.means)
    return counts


def label_only(store: Store, rounds: Sequence[str], adding: AdversarialDataConfig) -> None:
    """Votes on the samples of these rounds; the older ones have theirs."""
    labellers = labellers_of(adding.labellers, taxonomy_of(store))
    looks = any(labeller.needs & NEEDS_PICTURE for labeller in labellers)
    stages: tuple[Stage, ...] = (*((FetchPicture(url=store.url),) if looks else ()), *labellers)
    plan = Plan(stages, CommittedItems(store, rounds), LABELLED_A_UNIT, seed=0, pack=PackVotes())
    opened = open_round_of(store, plan, "-".join(labeller.name for labeller in labellers))
    opened.carry_out(adding.means.engine, adding.means.workers)
