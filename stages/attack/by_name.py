"""Attacks by name, and the classifiers they are aimed at."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import stages.attack
from schemas.errors import InputError
from schemas.plug_ins import plug_ins
from schemas.protocols import Target
from stages.attack.attack_stage import AIMS, AttackStage
from stages.attack.joint import Joint
from stages.attack.pixel_attack import PixelAttack
from stages.attack.text_attack import TextAttack

TEXT, IMAGE, JOINT = "text", "image", "joint"
STATIC = ("paraphrase", "embedding_matching")
"""Attacks on words that ask no classifier, whatever they are aimed at: a language model and the generator's text encoder decide."""


def attack_classes() -> dict[str, type[AttackStage]]:
    """Every attack there is, by its file's name."""
    return plug_ins(stages.attack, AttackStage)  # type: ignore[type-abstract]


def attacks_of(
    names: str, targets: Sequence[Target], aim: str, epsilon: float | None
) -> dict[str, tuple[AttackStage, ...]]:
    """The attacks of `--attacks A,B` by family, aimed at `targets`. Raises InputError for a name that is none, or twice there."""
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    classes = attack_classes()
    unknown = [name for name in wanted if name not in classes]
    if unknown or not wanted or len(set(wanted)) < len(wanted):
        raise InputError(f"--attacks {names}: expected names, each once, out of {', '.join(classes)}")
    if aim not in AIMS:
        raise InputError(f"--aim {aim}: expected one of {', '.join(AIMS)}")
    attacks = [_attack(name, classes[name], targets, aim, epsilon) for name in wanted]
    families = (TEXT, IMAGE, JOINT)
    return {family: members for family in families if (members := tuple(a for a in attacks if a.family == family))}


def _attack(
    name: str, kind: type[AttackStage], targets: Sequence[Target], aim: str, epsilon: float | None
) -> AttackStage:
    settings: dict[str, Any] = {"aim": aim}
    if epsilon is not None and "epsilon" in {field.name for field in fields(kind)}:
        settings["epsilon"] = epsilon
    if issubclass(kind, Joint):
        return kind(targets=tuple(targets), **settings)
    asks = kind.knowledge != "non_adaptive" or issubclass(kind, PixelAttack)
    searches = issubclass(kind, TextAttack) and bool(targets) and name not in STATIC
    if not asks and not searches:
        return kind(**settings)
    if len(targets) != 1:
        raise InputError(f"--attacks {name}: it works against one classifier; give --against one (joint takes several)")
    return kind(target=targets[0], **settings)
