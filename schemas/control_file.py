"""Control files: the small JSON that says what a run is. One form (a version, a checksum), one reader, one error."""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Any

from schemas.errors import HazmatError

VERSION = 1
Kinds = Mapping[str, type | tuple[type, ...]]


class ControlFileError(HazmatError):
    """A control file is missing, damaged, changed by hand, or of a later Hazmat. Says which, what and the mend."""


def damaged(name: str, what: str, mend: str) -> ControlFileError:
    """The error of a file that cannot be trusted."""
    return ControlFileError(f"{name} {what}; {mend}")


def control_json(fields: Mapping[str, Any]) -> bytes:
    """Canonical JSON of `fields` with their version and checksum."""
    body = {**fields, "version": VERSION}
    return json.dumps({**body, "checksum": _checksum(body)}, indent=1, sort_keys=True).encode()


def read_control(data: bytes | None, name: str, mend: str, needs: Kinds) -> dict[str, Any]:
    """The fields of a control file. `needs` names those that must be there, with their types.

    A file of before there were checksums is read as it is. Raises ControlFileError for anything else.
    """
    if not data:
        raise damaged(name, "is not there" if data is None else "is empty", mend)
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        raise damaged(name, "is torn: it is no JSON", mend) from None
    if not isinstance(fields, dict):
        raise damaged(name, f"holds {_kind(fields)} and not an object", mend)
    if "version" in fields:
        _check_version(fields, name, mend)
    check_fields(fields, needs, name, mend)
    return {key: value for key, value in fields.items() if key not in ("version", "checksum")}


def _check_version(fields: dict[str, Any], name: str, mend: str) -> None:
    if fields["version"] != VERSION:
        raise damaged(name, f"is of layout {str(fields['version'])[:20]!r}, this Hazmat reads {VERSION}", mend)
    checksum = fields.pop("checksum", None)
    if checksum != _checksum(fields):
        raise damaged(name, "was damaged or changed by hand: its checksum is another", mend)


def check_fields(fields: object, needs: Kinds, name: str, mend: str) -> None:
    """Raises ControlFileError unless `fields` is an object that has every field of `needs`, of its type."""
    if not isinstance(fields, dict):
        raise damaged(name, f"holds {_kind(fields)} where an object belongs", mend)
    for key, kinds in needs.items():
        if key not in fields:
            raise damaged(name, f"lacks {key!r}", mend)
        value = fields[key]
        wrong_bool = isinstance(value, bool) and bool not in (kinds if isinstance(kinds, tuple) else (kinds,))
        if wrong_bool or not isinstance(value, kinds):
            raise damaged(name, f"has {_kind(value)} as {key!r}", mend)


def inside(path: str) -> bool:
    """Whether a name in a control file stays below the folder that it is relative to."""
    parts: Sequence[str] = PurePosixPath(path).parts
    return bool(parts) and ".." not in parts and not PurePosixPath(path).is_absolute() and "\0" not in path


def _checksum(body: Mapping[str, Any]) -> str:
    return sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _kind(value: object) -> str:
    names = {type(None): "null", list: "a list", dict: "an object", str: "a text", bool: "true or false"}
    return names.get(type(value), "a number")
