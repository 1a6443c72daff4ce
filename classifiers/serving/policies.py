"""Who may ask, and what counts as unsafe for them: a policy a key."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from classifiers.serving.limits import RequestError
from schemas.errors import InputError

FIELDS = {"name", "key_sha256", "categories", "threshold", "thresholds"}


@dataclass(frozen=True, kw_only=True)
class KeyPolicy:
    """`categories` are in scope (none: all), `threshold` replaces the classifier's, `thresholds` those of single categories."""

    name: str = "default"
    categories: tuple[str, ...] = ()
    threshold: float | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)


class Policies:
    """By the sha256 of a key, so that no file and no memory holds a key."""

    def __init__(self, by_digest: Mapping[str, KeyPolicy]) -> None:
        self.by_digest = dict(by_digest)

    def of(self, authorization: str | None) -> KeyPolicy:
        """The policy of `Bearer KEY`. Raises RequestError (401)."""
        scheme, _, key = (authorization or "").partition(" ")
        policy = self.by_digest.get(digest_of(key.strip())) if scheme.lower() == "bearer" else None
        if policy is None:
            raise RequestError(401, "invalid_api_key", "give a known key: Authorization: Bearer KEY")
        return policy


def digest_of(key: str) -> str:
    """sha256 of a key, hex."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def read_policies(path: Path, categories: Sequence[str]) -> dict[str, KeyPolicy]:
    """{"keys": [{"name", "key_sha256", "categories", "threshold", "thresholds"}, …]}. Raises InputError naming what is wrong."""
    try:
        rows = json.loads(path.read_text())["keys"]
        return {str(row["key_sha256"]).lower(): _policy(row, path, categories) for row in rows}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f'--policies {path}: expected {{"keys": [{{"name", "key_sha256", …}}]}} ({error!r})'
        ) from error


def _policy(row: Mapping[str, Any], path: Path, known: Sequence[str]) -> KeyPolicy:
    where = f"--policies {path}, {row.get('name', '?')!r}"
    digest = str(row["key_sha256"])
    if len(digest) != 64 or set(digest.lower()) - set("0123456789abcdef"):
        raise InputError(f"{where}: key_sha256 is 64 hexadecimal digits, as `printf %s KEY | sha256sum` gives them")
    named = (*row.get("categories", ()), *row.get("thresholds", {}))
    wrong = sorted(({*row} - FIELDS) | (set(named) - set(known)))
    numbers = [*row.get("thresholds", {}).values(), *([row["threshold"]] if "threshold" in row else [])]
    if wrong or not all(isinstance(each, int | float) and 0 <= each <= 1 for each in numbers):
        raise InputError(
            f"{where}: {', '.join(wrong) or 'a threshold beyond 0 to 1'}; fields are {', '.join(sorted(FIELDS))}, "
            f"categories {', '.join(known)}"
        )
    return KeyPolicy(
        name=str(row["name"]),
        categories=tuple(row.get("categories", ())),
        threshold=row.get("threshold"),
        thresholds=dict(row.get("thresholds", {})),
    )
