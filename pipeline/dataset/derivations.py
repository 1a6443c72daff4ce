"""Is a parent that no round committed one that stages made on the way? Its key says so: it hashes where it comes from.

A unit's stages may derive a sample from a sample that they then drop: `rewrite` derives texts, and of each text pictures, and
commits only those. The text has no row, but its key is `derived_key(root's key, "rewrite", index)` (`Sample.derive`).
"""

from collections.abc import Iterable, Sequence

from schemas.identity import derived_key

CHILDREN = 1024
"""Indexes tried of one sample's children. Found on the first few, as a rule: they are tried in order, each for all stages."""
CHILDREN_ON_THE_WAY = 16  # of a sample that was dropped, where a second one was dropped below it


def is_child(key: str, parents: Sequence[str], stages: Iterable[str], children: int = CHILDREN) -> bool:
    """Whether one of `stages`, by name, derives `key` of one of `parents`."""
    names = tuple(stages)
    return any(
        derived_key(parent, name, index) == key for index in range(children) for name in names for parent in parents
    )


def made_on_the_way(key: str, known: Sequence[str], stages: Iterable[str]) -> bool:
    """Whether `key` names a sample that stages derived of a `known` one, directly or with one more between."""
    names = tuple(stages)
    if is_child(key, known, names):
        return True
    between = [
        derived_key(parent, name, index) for index in range(CHILDREN_ON_THE_WAY) for name in names for parent in known
    ]
    return is_child(key, between, names, CHILDREN_ON_THE_WAY)
