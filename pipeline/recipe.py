"""What a run is made by, as one value that is handed down: a command finds it once, and nobody below looks it up by name."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from pipeline.pack import Pack
from pipeline.plan import PICTURES, Plan
from pipeline.selection.edges import GroupRules
from pipeline.selection.keep import KeepRules
from pipeline.stage import Stage
from schemas.errors import InputError
from schemas.prompt import LeftOut, Prompt
from schemas.sample import Sample
from schemas.wording import Wording

UNIT_SECONDS = 60  # of expected work: what a lost worker or a Ctrl-C costs
SIGNATURES_A_UNIT = 1024  # samples: a second or two of work


@dataclass(frozen=True)
class Without:
    """Stands where a recipe lacks a part, and says `why`, in words that its users will read."""

    why: str

    def __post_init__(self) -> None:
        if not self.why.strip():
            raise InputError("Without: say in words why the recipe has none")


@dataclass(frozen=True, kw_only=True)
class ShardRecipe:
    """The stages that sign a sample once its picture is fetched, and the rules that the keep-list follows.

    Rules that hold nothing out of training need a `nothing_held_out` that says why. Raises InputError.
    """

    stages: tuple[Stage, ...]
    rules: KeepRules
    nothing_held_out: Without | None = None

    def __post_init__(self) -> None:
        if bool(self.rules.splits.held_out) == (self.nothing_held_out is not None):
            raise InputError(
                "a shard recipe either holds something out of training (SplitRules(held_out=…)) or says why nothing is: "
                "nothing_held_out=Without('…')"
            )


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides what a run holds, but for the facts of its command line. Frozen and picklable.

    `stages` lead from a root sample to a committed row, `unit_size` rows a unit, and `pack` writes a unit's files.
    `prompts` (re-iterable) are the default ones. `redraw` draws the picture of a prompt that was attacked: it takes words as they
    are, so no stage of it may write any. `shards` are made by these rules; `judges` are the labellers that know the truth of what
    an attack has changed; `wording` reads prompts. A part that a recipe lacks is a `Without`.

    Raises InputError for a part that is None or empty, and for a `redraw` that writes words.
    """

    name: str
    stages: tuple[Stage, ...]
    redraw: tuple[Stage, ...]
    prompts: Iterable[Prompt | LeftOut]
    unit_size: int = 64
    pack: Pack = PICTURES
    shards: ShardRecipe | Without
    judges: tuple[str, ...] | Without
    wording: Wording | Without

    def __post_init__(self) -> None:
        for part in ("shards", "judges", "wording"):
            if not getattr(self, part):
                raise InputError(
                    f"recipe {self.name}: {part} is {getattr(self, part)!r}; give it, or say why there is none: Without('…')"
                )
        for stage in self.redraw:
            if "prompt" in stage.adds:
                raise InputError(
                    f"recipe {self.name}: {stage.name} in redraw writes words, so an attacked prompt would not be drawn as attacked"
                )

    def plan(self, items: Iterable[Sample], seed: int, *, on_cpu: bool = False) -> Plan:
        """The generating round over `items`, cut by pictures and by expected seconds.

        40 prompts of 10 are seven units of 64, not one that is lost whole, and a unit is no more than `UNIT_SECONDS` of work, but
        at least a batch. On CPUs, which draw no faster in batches, batches become as small. A round that was begun keeps
        what it was begun with (`as_begun`). Raises PlanError if the stages do not fit together.
        """
        rows = math.prod(stage.fan_out for stage in self.stages)
        slow = [stage for stage in self.stages if stage.expected_seconds(on_cpu)]
        seconds = sum(stage.expected_seconds(on_cpu) for stage in slow)
        pictures = self.unit_size if not slow else min(self.unit_size, max(1, int(UNIT_SECONDS / seconds)))
        if on_cpu and pictures < self.unit_size:
            batch = 1 << (pictures.bit_length() - 1)
            pictures = batch * (pictures // batch)
            stages = tuple(
                replace(stage, batch_size=min(stage.batch_size, batch)) if stage in slow else stage
                for stage in self.stages
            )
        else:
            stages = self.stages
            pictures = max([pictures, *(min(self.unit_size, stage.batch_size) for stage in slow)])
        return Plan(stages, items, max(1, pictures // rows), seed, self.pack)

    def sharding(self) -> ShardRecipe:
        """The rules for shards. Raises InputError where the recipe has none."""
        if isinstance(self.shards, Without):
            raise InputError(f"recipe {self.name} has no rules for shards: {self.shards.why}")
        return self.shards

    def labellers(self) -> str:
        """The judges' names with commas between. Raises InputError where the recipe trusts none."""
        if isinstance(self.judges, Without):
            raise InputError(f"recipe {self.name} trusts no labeller ({self.judges.why}); name some with --labellers")
        return ",".join(self.judges)

    @property
    def grouping(self) -> GroupRules:
        """What counts as near when shards are verified; the default rules where none are made."""
        return GroupRules() if isinstance(self.shards, Without) else self.shards.rules.groups

    @property
    def held_out_attacks(self) -> frozenset[str]:
        """Names of the attacks, and of families of attacks, that are never trained on."""
        rules = () if isinstance(self.shards, Without) else self.shards.rules.splits.held_out
        return frozenset(one.name.removeprefix("attack:") for one in rules if one.name.startswith("attack:"))
