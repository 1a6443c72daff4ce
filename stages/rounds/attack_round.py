"""An attack round: the variants that some attacks make of a run's clean samples; asked again, it goes on where it stopped."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jobs.recipes.named import RECIPES
from jobs.recipes.pictogram import EMBEDDED
from pipeline.engines.resumable import OpenedRound, open_or_resume
from pipeline.plan import Plan
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
from stages.generate.diffusion import Diffusion
from stages.generate.replicate import Replicate
from stages.image_io.encode import Encode
from stages.image_io.fetch_picture import FetchPicture

UNIT_SIZE = 64  # samples: an attack takes seconds a sample, and a lost worker loses a unit at most


@dataclass(frozen=True)
class CleanItems:
    """The samples of a run that no attack has touched."""

    items: CommittedItems

    def __iter__(self) -> Iterator[Sample]:
        return (sample for sample in self.items if sample.clean)


def open_attack_round(
    store: Store,
    config: RunConfig,
    family: str,
    attacks: Sequence[AttackStage],
    *,
    targets: Sequence[Target] = (),
    aim: str = "evade",
) -> OpenedRound:
    """The round of exactly these attacks on the clean samples as they are now: found, to be resumed, or begun.

    With `targets` it is aimed: at what they flag (or let pass), and each row says whether they were turned.
    """
    name = f"{family}-" + "-".join(attack.name for attack in attacks)
    clean = CleanItems(CommittedItems(store, rounds_with(store, "raw")))
    if next(iter(clean), None) is None:
        raise InputError(
            f"{store.url} holds no committed sample to attack; run jobs/generate.py --out {store.url} first"
        )
    variants = Variants(attacks=tuple(attacks), targets=tuple(targets), aim=aim)
    # A recipe that keeps what early steps knew keeps it of pictures that attacked words are drawn in, too.
    pack = RECIPES[config.recipe](config, ()).pack
    plan = Plan(stages_of(store, config, family, variants), clean, UNIT_SIZE, seed=config.seed, pack=pack)
    return open_or_resume(store, f"-attack-{name}", plan)


def stages_of(store: Store, config: RunConfig, family: str, variants: Variants) -> tuple[Stage, ...]:
    """Committed pictures → variants → for words: pictures of their own → files → what the targets say of them.

    Attacked pixels are stored without loss.
    """
    fetch = FetchPicture(url=store.url)
    decided = (RecordTargetDecision(targets=variants.targets),) if variants.targets else ()
    if family != TEXT:
        return (fetch, variants, Encode(format="png"), *decided)
    return (fetch, variants, *drawing(config), Encode(), *decided)


def drawing(config: RunConfig) -> tuple[Stage, ...]:
    """How the run's recipe draws. Scenes drawn without a model take only the grammar's words, so there the embedded model draws."""
    if config.recipe == "render":
        return (Diffusion(model=EMBEDDED, steps=10, guidance_scale=3.0),)
    stages = RECIPES[config.recipe](config, ()).stages
    return tuple(stage for stage in stages if not isinstance(stage, Replicate | Encode | Variants))
