"""Labellers by name: the name is the file in `stages/label`, and `NAME=MODEL` gives it another model."""

import os
from collections.abc import Callable
from dataclasses import fields

import stages.label
from schemas.errors import InputError
from schemas.plug_ins import plug_ins
from schemas.taxonomy import UNSAFEBENCH, Taxonomy
from stages.label.labeller import Labeller

ALLOWED_HOSTS = "HAZMAT_ALLOWED_HOSTS"
"""Names the hosts, with commas between, that a labeller may send pictures to; without it only this machine."""


def labeller_classes() -> dict[str, type[Labeller]]:
    """Every labeller there is, by its file's name."""
    return plug_ins(stages.label, Labeller)  # type: ignore[type-abstract]


def labellers_of(text: str, taxonomy: Taxonomy = UNSAFEBENCH) -> tuple[Labeller, ...]:
    """The labellers of `--labellers A,B=MODEL`. Raises InputError for a name that is none, and for one that needs a model."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise InputError(f"--labellers is empty; there are {', '.join(labeller_classes())}")
    return tuple(_labeller(name, taxonomy) for name in names)


def _labeller(text: str, taxonomy: Taxonomy) -> Labeller:
    name, _, model = text.partition("=")
    classes = labeller_classes()
    if name not in classes:
        raise InputError(f"--labellers {name}: no such labeller; there are {', '.join(classes)}")
    known = {field.name for field in fields(classes[name])}
    settings: dict[str, object] = {"taxonomy": taxonomy, **({"model": model} if model else {})}
    if model and "model" not in known:
        raise InputError(f"--labellers {text}: {name} takes no model")
    if "allowed_hosts" in known:
        settings["allowed_hosts"] = tuple(host for host in os.environ.get(ALLOWED_HOSTS, "").split(",") if host)
    build: Callable[..., Labeller] = classes[name]
    try:
        labeller = build(**settings)
    except TypeError as error:
        raise InputError(f"--labellers {name}: it needs a model; write {name}=DIR_OR_ID") from error
    if not taxonomy.covered(labeller.covers()):
        raise InputError(
            f"--labellers {name}: it tells {', '.join(labeller.covers()) or 'no category'}, and none of {taxonomy.label}'s; "
            "say which are which in the taxonomy file's 'mappings', under 'unsafebench', or let another labeller vote"
        )
    return labeller
