"""A labeller's fields as `--labellers NAME=MODEL,key=value` gives them: text to what the dataclass says that it takes."""

import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from schemas.errors import InputError
from schemas.taxonomy import Taxonomy
from stages.label.labeller import Labeller

BETWEEN = "|"  # the values of a field that takes several
BY_ENVIRONMENT = "allowed_hosts"  # who may be sent pictures is said by the machine's owner, not by a command


def field_values(kind: type[Labeller], name: str, texts: Mapping[str, str]) -> dict[str, object]:
    """Typed by the labeller's dataclass. Raises InputError that names the field and what it takes."""
    takes = {field.name for field in fields(kind)} - {BY_ENVIRONMENT}
    hints = get_type_hints(kind)
    values: dict[str, object] = {}
    for key, text in texts.items():
        if key not in takes:
            near = get_close_matches(key, takes, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise InputError(f"--labellers {name}: it has no field {key!r}, only {', '.join(sorted(takes))}{hint}")
        try:
            values[key] = _typed(hints[key], key, text)
        except ValueError as error:
            raise InputError(f"--labellers {name}: {key} takes {error}, got {text!r}") from None
    return values


def _typed(annotation: Any, key: str, text: str) -> object:
    """Raises ValueError with what it takes, InputError for a taxonomy that is none."""
    if isinstance(annotation, UnionType):
        (annotation,) = (one for one in get_args(annotation) if one is not NoneType)
    if get_origin(annotation) is tuple:
        return _several(get_args(annotation), text)
    reader = READERS.get(annotation)
    if reader is None:
        raise ValueError("nothing from a command line")
    value = reader(text)
    if key == "threshold" and not 0 <= float(str(value)) <= 1:
        raise ValueError("a number from 0 to 1")
    if isinstance(value, int | float) and not isinstance(value, bool) and value < 0:
        raise ValueError("a number that is not below 0")
    if key in AT_LEAST_ONE and value == 0:
        raise ValueError("a whole number from 1 on")
    return value


AT_LEAST_ONE = frozenset({"batch_size", "concurrency", "attempts", "max_tokens"})


def _several(kinds: tuple[Any, ...], text: str) -> tuple[str, ...]:
    parts = tuple(text.split(BETWEEN))
    count = None if kinds[-1] is Ellipsis else len(kinds)
    if "" in parts or (count is not None and len(parts) != count):
        raise ValueError(f"{'texts' if count is None else f'{count} texts'} with {BETWEEN} between")
    return parts


def _whole(text: str) -> int:
    if not text.strip().isdecimal():
        raise ValueError("a whole number")
    return int(text)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError("a number") from None
    if not math.isfinite(value):
        raise ValueError("a number")
    return value


def _switch(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("true or false")
    return text.lower() == "true"


def _file(text: str) -> Path:
    if not Path(text).is_file():
        raise ValueError("a file that is there")
    return Path(text).absolute()


def _policy(text: str) -> Taxonomy:
    return Taxonomy.read(Path(text))


READERS: Mapping[Any, Callable[[str], object]] = {
    str: str,
    int: _whole,
    float: _number,
    bool: _switch,
    Path: _file,
    Taxonomy: _policy,
}
