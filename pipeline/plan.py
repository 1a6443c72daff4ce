"""A plan: which stages, over which items, cut into which units. Checked before anything heavy starts."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from hashlib import blake2b
from itertools import islice

from pipeline.pack import Pack, PackPictures
from pipeline.stage import Stage
from schemas.errors import HazmatError
from schemas.sample import Sample

GIVEN = frozenset({"prompt", "generation_prompt"})
"""What every root sample has: the first stages may need it."""
PICTURES = PackPictures()
_FIELDS = frozenset(field.name for field in fields(Sample))


class PlanError(HazmatError):
    """The stages do not fit together."""


@dataclass(frozen=True)
class Plan:
    """`stages` in order over `items` (re-iterable samples), `unit_size` items a unit; `pack` makes a finished unit's files.

    Raises PlanError if a stage needs what no earlier one adds, names an unknown field, or nothing is left to commit.
    """

    stages: tuple[Stage, ...]
    items: Iterable[Sample]
    unit_size: int
    seed: int
    pack: Pack = PICTURES

    def __post_init__(self) -> None:
        if self.unit_size < 1:
            raise PlanError(f"unit_size is {self.unit_size}; a unit holds at least one item")
        known = set(GIVEN)
        for stage in self.stages:
            unknown = (stage.needs | stage.adds) - _FIELDS
            if unknown:
                raise PlanError(f"{stage.name} names {sorted(unknown)}, which Sample does not have")
            missing = stage.needs - known
            if missing:
                raise PlanError(f"{stage!r} needs {sorted(missing)}, which no earlier stage adds; have {sorted(known)}")
            known |= stage.adds
        missing = self.pack.needs - known
        if missing:
            raise PlanError(f"nothing adds {sorted(missing)}, which {self.pack!r} needs to commit a unit")

    def describe(self) -> list[dict[str, str]]:
        """The stages as text, for people and for the fingerprint."""
        return [stage.describe() for stage in self.stages]

    def fingerprint(self, items_digest: str) -> str:
        """Names this plan: equal fingerprints promise equal files (on one hardware and software, DESIGN 3.3)."""
        text = json.dumps([self.describe(), repr(self.pack), self.unit_size, self.seed, items_digest], sort_keys=True)
        return blake2b(text.encode(), digest_size=16).hexdigest()

    def units(self) -> Iterator[list[Sample]]:
        """The items, cut."""
        items = iter(self.items)
        while unit := list(islice(items, self.unit_size)):
            yield unit

    def groups(self, accelerators: bool) -> list[range]:
        """Runs of stages that share a worker: neighbours whose resources are equal on this cluster."""
        return group_stages(self.stages, accelerators)


def group_stages(stages: Sequence[Stage], accelerators: bool) -> list[range]:
    """Cut `stages` where the resources change; without accelerators, wanting one makes no difference.

    A stage that takes no CPU worth naming joins the one after it, so that a fan-out costs no pool of its own.
    """
    wanted: list[tuple[float, bool]] = []
    for stage in reversed(stages):
        own = (stage.resources.cpus, stage.resources.accelerator and accelerators)
        wanted.insert(0, wanted[0] if wanted and own == (0.0, False) else own)
    starts = [index for index in range(len(stages)) if index == 0 or wanted[index] != wanted[index - 1]]
    return [range(start, stop) for start, stop in zip(starts, [*starts[1:], len(stages)], strict=True)]
