"""Labellers by name: the name is the file in `stages/label`; `NAME=MODEL,key=value` gives it another model and other fields."""

import re
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path

import stages.label
from pipeline.storage.weights import local_directory
from schemas.errors import InputError
from schemas.plug_ins import plug_ins
from schemas.taxonomy import UNSAFEBENCH, Taxonomy
from stages.label.field_values import field_values
from stages.label.labeller import Labeller
from stages.remote.address import allowed_hosts


def labeller_classes() -> dict[str, type[Labeller]]:
    """Every labeller there is, by its file's name."""
    return plug_ins(stages.label, Labeller)  # type: ignore[type-abstract]


def labellers_of(text: str, taxonomy: Taxonomy = UNSAFEBENCH, models: Path | None = None) -> tuple[Labeller, ...]:
    """The labellers of `--labellers A,B=MODEL,key=value`: what is no labeller's name is a field of the one before it.

    A comma within a value is written `\\,`. `models` is where the models of those lie that name none: its folder NAME, or itself
    where there is one such labeller. Raises InputError for a name that is none, for one that needs a model, and for a field
    or value that the labeller does not take.
    """
    classes = labeller_classes()
    parts = [part.replace("\\,", ",").lstrip() for part in re.split(r"(?<!\\),", text) if part.strip()]
    if not parts:
        raise InputError(f"--labellers is empty; there are {', '.join(classes)}")
    parsed: list[tuple[str, dict[str, str]]] = []
    for part in parts:
        key, equals, value = part.partition("=")
        if key.strip() in classes or not equals or not parsed:
            parsed.append((key.strip(), {"model": value.strip()} if value.strip() else {}))
        else:
            parsed[-1][1][key.strip()] = value
    if models is not None:
        _find_models(parsed, models)
    return tuple(_labeller(name, values, taxonomy) for name, values in parsed)


def _find_models(wanted: Sequence[tuple[str, dict[str, str]]], models: Path) -> None:
    """Puts the directories of those that take a model and name none into what was asked. Raises InputError."""
    classes = labeller_classes()
    defaults = {
        name: field.default for name, kind in classes.items() for field in fields(kind) if field.name == "model"
    }
    without = [(name, values) for name, values in wanted if name in defaults and "model" not in values]
    needing = [name for name, _ in without if local_directory(str(defaults[name])) is None]
    if not models.is_dir():
        raise InputError(f"--model-dir {models}: no such directory")
    for name, values in without:
        if (models / name).is_dir():
            values["model"] = str((models / name).absolute())
        elif local_directory(str(defaults.get(name))) is not None:
            continue  # it has one here
        elif len(needing) == 1:
            values["model"] = str(models.absolute())
        else:
            raise InputError(
                f"--model-dir {models}: no folder {name} in it; with several labellers each has a folder of its name there"
            )
    if not without:
        raise InputError(f"--model-dir {models}: none of the labellers needs a model; leave it out")


def _labeller(name: str, values: dict[str, str], taxonomy: Taxonomy) -> Labeller:
    classes = labeller_classes()
    if name not in classes:
        raise InputError(f"--labellers {name}: no such labeller; there are {', '.join(classes)}")
    known = {field.name for field in fields(classes[name])}
    if "model" in values and "model" not in known:
        raise InputError(f"--labellers {name}={values['model']}: {name} takes no model")
    settings = {"taxonomy": taxonomy, **field_values(classes[name], name, values)}
    if "allowed_hosts" in known:
        settings["allowed_hosts"] = allowed_hosts()
    build: Callable[..., Labeller] = classes[name]
    try:
        labeller = build(**settings)
    except TypeError as error:
        raise InputError(f"--labellers {name}: it needs a model; write {name}=DIR_OR_ID") from error
    own = labeller.taxonomy
    if not own.covered(labeller.covers()):
        raise InputError(
            f"--labellers {name}: it tells {', '.join(labeller.covers()) or 'no category'}, and none of {own.label}'s; "
            "say which are which in the taxonomy file's 'mappings', under 'unsafebench', or let another labeller vote"
        )
    return labeller
