"""An attack round: the variants that some attacks make of a run's clean samples; asked again, it goes on where it stopped."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from pipeline.engines.resumable import OpenedRound, open_or_resume
from pipeline.plan import Plan
from pipeline.recipe import Recipe
from pipeline.rounds.items import CommittedItems
from pipeline.rounds.rounds import rounds_with
from pipeline.stage import Stage
from pipeline.storage.store import Store
from schemas.errors import InputError
from schemas.protocols import Target
from schemas.run import RunConfig
from schemas.sample import Sample
from stages.attack.attack_stage import AttackStage
from stages.attack.by_name import TEXT
from stages.attack.record_target_decision import RecordTargetDecision
from stages.attack.variants import Variants
from stages.image_io.encode import Encode
from stages.image_io.fetch_picture import FetchPicture

UNIT_SIZE = 64  # samples: an attack takes seconds a sample, and a lost worker loses a unit at most
# All of a unit go to the attack together: of 16 some are not wanted and more are soon fooled, and a tile of 16 rows costs the same
# for one that holds out. 64 samples, 19 of them flagged by embedded:late_fusion, PGD: 11.8 CPU seconds against 44.5.
ATTACKED_AT_ONCE = UNIT_SIZE


@dataclass(frozen=True)
class CleanItems:
    """The samples of a run that no attack has touched; `count` of them, first by key, which is a hash, or all."""

    items: CommittedItems
    count: int | None = None

    def __iter__(self) -> Iterator[Sample]:
        if self.count is None:
            return (sample for sample in self.items if sample.clean)
        chosen = frozenset(sorted(sample.key for sample in self.items if sample.clean)[: self.count])
        return (sample for sample in self.items if sample.key in chosen)


def open_attack_round(
    store: Store,
    config: RunConfig,
    recipe: Recipe,
    family: str,
    attacks: Sequence[AttackStage],
    *,
    targets: Sequence[Target] = (),
    aim: str = "evade",
    count: int | None = None,
) -> OpenedRound:
    """The round of exactly these attacks on the clean samples as they are now: found, to be resumed, or begun.

    With `targets` it is aimed: at what they flag (or let pass), and each row says whether they were turned.
    """
    name = f"{family}-" + "-".join(attack.name for attack in attacks)
    clean = CleanItems(CommittedItems(store, rounds_with(store, "raw")), count)
    if next(iter(clean), None) is None:
        raise InputError(
            f"{store.url} holds no committed sample to attack; run jobs/generate.py --out {store.url} first"
        )
    variants = Variants(attacks=tuple(attacks), targets=tuple(targets), aim=aim)
    plan = attack_plan(store, recipe, family, variants, items=clean, seed=config.seed)
    return open_or_resume(store, f"-attack-{name}", plan)


def attack_plan(
    store: Store, recipe: Recipe, family: str, variants: Variants, *, items: Iterable[Sample], seed: int
) -> Plan:
    """Committed pictures → variants → for words: pictures of their own, by the recipe → files → what the targets say of them.

    Attacked pixels are stored without loss. A recipe that keeps what early steps knew keeps it of redrawn pictures too.
    """
    drawn: tuple[Stage, ...] = (*recipe.redraw, Encode()) if family == TEXT else (Encode(format="png"),)
    decided = (RecordTargetDecision(targets=variants.targets),) if variants.targets else ()
    together = replace(variants, batch_size=ATTACKED_AT_ONCE)
    stages = (FetchPicture(url=store.url), together, *drawn, *decided)
    return Plan(stages, items, UNIT_SIZE, seed=seed, pack=recipe.pack)
