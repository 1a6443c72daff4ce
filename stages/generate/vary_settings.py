"""Draw settings of generation picture by picture, so that a run holds what people use and not one setting."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from pipeline.stage import Resources, Stage, Step
from schemas.distribution import Distribution
from schemas.errors import InputError
from schemas.generation import GenerationSettings, settings_of
from schemas.identity import seed_of
from schemas.sample import Sample


@dataclass(frozen=True, kw_only=True)
class VarySettings(Stage):
    """Ask each sample's generator for settings drawn from these distributions, by the sample's key; what its row set stays.

    Stands between `Replicate` and what draws: `VarySettings(guidance_scale=Uniform(3, 9), steps=Choice(((20, 1), (30, 2))))`.
    Raises InputError for a distribution with values that no generator could draw with.
    """

    adds: ClassVar[frozenset[str]] = frozenset({"asked_settings"})
    resources: ClassVar[Resources] = Resources(cpus=0.0)
    steps: Distribution | None = None
    guidance_scale: Distribution | None = None
    true_cfg_scale: Distribution | None = None
    size: Distribution | None = None
    scheduler: Distribution | None = None
    negative_prompt: Distribution | None = None

    def __post_init__(self) -> None:
        if not self.distributions:
            raise InputError("vary_settings: give at least one distribution")
        self.ends()

    @property
    def distributions(self) -> dict[str, Distribution]:
        """Those that there are."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "batch_size"}
        return {name: one for name, one in values.items() if one is not None}

    def ends(self) -> list[GenerationSettings]:
        """Settings that stand for all that may be drawn: what can be drawn with these can be with any."""
        return [GenerationSettings(**{name: end}) for name, one in self.distributions.items() for end in one.ends()]

    def open(self) -> Step:
        """Nothing to load."""

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            for sample in batch:
                drawn: dict[str, Any] = {
                    name: one.at(seed_of(sample.key, f"setting {name}") / 2**63)
                    for name, one in self.distributions.items()
                }
                settings = settings_of(sample.asked_settings).over(GenerationSettings(**drawn))
                yield sample.with_(asked_settings=settings.to_json())

        return step
