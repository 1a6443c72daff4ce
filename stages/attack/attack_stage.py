"""What every attack says of itself, and how an attack's choice of samples follows from what the target decides."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any, ClassVar

from pipeline.stage import Resources, Stage
from schemas.errors import InputError
from schemas.identity import seed_of
from schemas.protocols import Differentiable, Target
from schemas.sample import Sample

AIMS = ("evade", "false_flag", "both")
_NOT_PARAMETERS = frozenset({"target", "epsilon", "batch_size", "aim", "tile", "keeps_truth"})
_NOT_IDENTITY = frozenset({"target", "batch_size", "aim", "tile", "keeps_truth"})  # the target is in by its digest


@dataclass(frozen=True, kw_only=True)
class AttackStage(Stage):
    """A stage that makes variants of samples; each is a child that is not clean and carries the threat model.

    `aim` says which samples are attacked: what the target flags (`evade`), what it lets pass (`false_flag`), or both. A
    non-adaptive attack needs no `target`. A class says what its attack does to the truth (`preserves`, DESIGN 3.10), what its
    author knows, and what its author controls.
    """

    resources: ClassVar[Resources] = Resources(cpus=1.0, accelerator=True)
    family: ClassVar[str]
    controls: ClassVar[str]
    knowledge: ClassVar[str] = "white_box"
    preserves: ClassVar[bool] = True
    target: Target | None = None
    aim: str = "evade"

    def __post_init__(self) -> None:
        if self.aim not in AIMS:
            raise InputError(f"{self.name}: aim is {self.aim!r}; expected one of {', '.join(AIMS)}")

    def loaded_target(self) -> Differentiable:
        """The classifier. Raises InputError where none was given."""
        if self.target is None:
            raise InputError(f"{self.name} works against a classifier; give it a target (--against models/NAME)")
        return self.target.load()

    def revision(self) -> str:
        """The target's digest."""
        return "" if self.target is None else self.target.digest()

    def parameters(self) -> str:
        """What is particular to this attack, as canonical JSON."""
        chosen = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _NOT_PARAMETERS}
        plain = {name: asdict(v) if is_dataclass(v) and not isinstance(v, type) else v for name, v in chosen.items()}
        return json.dumps(plain, sort_keys=True, separators=(",", ":"), default=str)

    def seeds(self, keys: Sequence[str]) -> list[int]:
        """One a sample, from its key and the attack's name."""
        return [seed_of(key, self.name) for key in keys]

    def wanted(self, flagged: bool) -> bool:
        """Whether a sample that the target flags (or not) is to be attacked."""
        return self.aim == "both" or flagged == (self.aim == "evade")

    def goal(self, label: int, target: Differentiable | None) -> str:
        """Of `schemas.attack.GOALS`: whom a variant of a row with this label (1: unsafe) would get past, or set off."""
        if label == 0:
            return "false_flag"
        reads = target.coverage.reads if target is not None else frozenset({self.family})
        if reads == {"image"}:
            return "evade_image"
        return "evade_text" if reads in ({"prompt"}, {"text"}) else "evade_joint"

    def variant(self, sample: Sample, index: int = 0, **changes: Any) -> Sample:
        """A child that was attacked; nothing of the parent's file is inherited."""
        nowhere: dict[str, Any] = dict.fromkeys(("format", "image_sha256", "tar", "tar_offset", "tar_size", "encoded"))
        return sample.derive(self.identity(), index, clean=False, **{**nowhere, **changes})

    def identity(self) -> str:
        """The name with all that can change a variant, so that two settings of one attack give two children."""
        settings = {name: text for name, text in self.describe().items() if name not in _NOT_IDENTITY}
        return json.dumps(settings, sort_keys=True)
