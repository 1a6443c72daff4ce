"""The categories of what is unsafe: UnsafeBench's 11, a choice of them, or a taxonomy of one's own; and what others' are in it.

What is unsafe depends on a policy, so the policy is data with a version: a label without its taxonomy says little.
"""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from schemas.errors import InputError

SAFE = "safe"  # the class of what is in no category
LARGEST = 1 << 20  # bytes of a taxonomy file
ASSETS = Path(__file__).parents[1] / "assets" / "taxonomy"

_ID = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Category:
    """One category: its id in every table, its name for people, and the policy text that judges and models are given."""

    id: str
    name: str
    policy: str


@dataclass(frozen=True)
class Taxonomy:
    """Categories in their fixed order, under a name and a version. Raises `InputError` for what can't be a taxonomy."""

    name: str
    version: str
    categories: tuple[Category, ...]
    # (taxonomy, class as `_key` has it) → ids of ours. A tuple of pairs: frozen, comparable, picklable.
    mappings: tuple[tuple[tuple[str, str], tuple[str, ...]], ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        ids = self.ids
        where = f"the taxonomy {self.name!r}"
        if not ids:
            raise InputError(f"{where} has no category")
        for wrong in (category.id for category in self.categories if not _ID.fullmatch(category.id)):
            raise InputError(
                f"{where}: {wrong!r} can't be an id; ids are small letters, digits and _, beginning with a letter"
            )
        if SAFE in ids:
            raise InputError(f"{where}: {SAFE!r} is the class of what is in no category, so it can't be one")
        for double in (id_ for id_ in ids if ids.count(id_) > 1):
            raise InputError(f"{where} has the category {double!r} twice")
        for category in self.categories:
            if not category.name.strip() or not category.policy.strip():
                raise InputError(f"{where}: the category {category.id!r} needs a name and a policy text")
        for (source, theirs), ours in self.mappings:
            for unknown in set(ours) - set(ids):
                raise InputError(f"{where} maps {theirs!r} of {source} to {unknown!r}, which is none of its categories")

    @property
    def ids(self) -> tuple[str, ...]:
        """The categories' ids, in order."""
        return tuple(category.id for category in self.categories)

    @property
    def label(self) -> str:
        """What a run's record says: name, version and, of a choice, the categories."""
        return f"{self.name}@{self.version}"

    def __getitem__(self, id_: str) -> Category:
        """A category by its id. Raises `InputError` with the nearest id."""
        for category in self.categories:
            if category.id == id_:
                return category
        near = get_close_matches(id_, self.ids, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(f"the taxonomy {self.label} has no category {id_!r}, only {', '.join(self.ids)}{hint}")

    def subset(self, ids: Iterable[str]) -> Self:
        """Only the given categories, in this taxonomy's order. What maps to none of them maps to nothing."""
        chosen = [self[id_].id for id_ in ids]
        if tuple(id_ for id_ in self.ids if id_ in chosen) == self.ids:
            return self
        categories = tuple(category for category in self.categories if category.id in chosen)
        mappings = tuple((theirs, tuple(id_ for id_ in ours if id_ in chosen)) for theirs, ours in self.mappings)
        version = f"{self.version}[{','.join(category.id for category in categories)}]"
        return replace(self, version=version, categories=categories, mappings=mappings)

    def of(self, source: str, theirs: str) -> tuple[str, ...] | None:
        """What a class, or a list of classes, of another taxonomy is in this one; () is "none of ours", None "not known".

        `source` is a prompt's source (`i2p`, `overt`, …) or a published taxonomy (`mlcommons`, `llavaguard`, …);
        `theirs` as it is written there: "hate, sexual", "S10", "primary--sub". Capitals, spaces, hyphens and
        underscores make no difference.
        """
        table = _table(self.mappings)
        categories: set[str] = set()
        for part in [theirs] if (source, _key(theirs)) in table else re.split(r"[,;|]", theirs):
            # Two levels, as "primary--sub": the lower one says more.
            keys = [_key(part), *(_key(level) for level in reversed(re.split(r"--|——", part)))]
            ours = next((table[source, key] for key in keys if (source, key) in table), None)
            if ours is None:
                return None
            categories.update(ours)
        return tuple(id_ for id_ in self.ids if id_ in categories)

    def ours(self, id_: str) -> tuple[str, ...] | None:
        """What a category that a judge names is here: itself where there is one of that id, else as the mappings of `unsafebench`
        say, whose ids the judges with categories of their own speak; () is "none of ours", None "not known".
        """
        return (id_,) if id_ in self.ids else self.of("unsafebench", id_)

    def covered(self, known: Iterable[str]) -> tuple[str, ...]:
        """Our categories that a judge of the categories `known` can tell: its own, and those all of whose parts it knows."""
        names = frozenset(known)
        parts = {theirs: self.ours(theirs) or () for theirs in (*UNSAFEBENCH.ids, *names)}
        missing = {id_ for theirs, mapped in parts.items() if theirs not in names for id_ in mapped}
        told = {id_ for theirs in names for id_ in parts[theirs]} - missing
        return tuple(id_ for id_ in self.ids if id_ in told or id_ in names)

    def to_json(self) -> dict[str, Any]:
        """As a `.json` file has it."""
        table: dict[str, dict[str, list[str]]] = {}
        for (source, theirs), ours in self.mappings:
            table.setdefault(source, {})[theirs] = list(ours)
        categories = [{"id": one.id, "name": one.name, "policy": one.policy} for one in self.categories]
        return {"name": self.name, "version": self.version, "categories": categories, "mappings": table}

    @classmethod
    def from_json(cls, content: Any, where: str) -> "Taxonomy":
        """The content of a `.json` file; `where` is said in the `InputError` for what is none."""
        need = partial(_need, where)
        categories = tuple(
            Category(*(need(category, key, str, f"category {number}") for key in ("id", "name", "policy")))
            for number, category in enumerate(need(content, "categories", list, "the taxonomy"), 1)
        )
        name, version = (need(content, key, str, "the taxonomy") for key in ("name", "version"))
        return cls(name, version, categories, tuple(sorted(_mappings(content.get("mappings", {}), where))))

    @classmethod
    def read(cls, path: Path) -> "Taxonomy":
        """A taxonomy from a file. Raises `InputError`.

        `.json`: {"name", "version", "categories": [{"id", "name", "policy"}, …], "mappings": {source: {their class:
        [ids]}}}, the last as one likes. `.tsv`: a header line `id name policy`, then a line a category; its name is
        the file's and its version 1.
        """
        readers = {".json": _read_json, ".tsv": _read_tsv}
        reader = readers.get(path.suffix.lower())
        if reader is None:
            raise InputError(
                f"{path.name}: a taxonomy is read from .json or .tsv, not from {path.suffix or 'a file without a suffix'}"
            )
        try:
            if path.stat().st_size > LARGEST:
                raise InputError(f"{path.name}: a taxonomy has at most {LARGEST >> 20} MiB")
            return reader(path)
        except FileNotFoundError as error:
            raise InputError(f"there is no taxonomy file {path}") from error
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"the taxonomy {path.name} can't be read: {error}") from error


def _key(theirs: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", theirs.lower()).strip("_")


@cache
def _table(
    mappings: tuple[tuple[tuple[str, str], tuple[str, ...]], ...],
) -> Mapping[tuple[str, str], tuple[str, ...]]:
    return MappingProxyType(dict(mappings))


def _need(file: str, holder: Any, key: str, kind: type, where: str) -> Any:
    value = holder.get(key) if isinstance(holder, dict) else None
    if not isinstance(value, kind):
        raise InputError(f"{file}: {where} needs {key!r} ({'a list' if kind is list else 'text'})")
    return value


def _mappings(content: Any, where: str) -> Iterator[tuple[tuple[str, str], tuple[str, ...]]]:
    """Raises InputError for another shape than {source: {their class: [ids]}}."""
    for source, table in (content if isinstance(content, dict) else {"": content}).items():
        for theirs, ours in (table if isinstance(table, dict) else {"": None}).items():
            ids = [ours] if isinstance(ours, str) else ours
            if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
                raise InputError(f"{where}: 'mappings' wants {{source: {{their class: [ids of ours]}}}}")
            yield (source, _key(theirs)), tuple(ids)


def _read_json(path: Path) -> Taxonomy:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"the taxonomy {path.name} is no JSON: {error}") from error
    return Taxonomy.from_json(content, path.name)


def _read_tsv(path: Path) -> Taxonomy:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        rows = [row for row in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE) if row]
    header = ["id", "name", "policy"]
    if not rows or rows[0] != header:
        raise InputError(
            f"{path.name}: want the header {' '.join(header)!r} with tabs between, got {' '.join(rows[0] if rows else [])!r}"
        )
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(header):
            raise InputError(
                f"{path.name}, line {number}: want id, name and policy with tabs between, got {len(row)} fields"
            )
    return Taxonomy(path.stem, "1", tuple(Category(*row) for row in rows[1:]))


def _shipped() -> Taxonomy:
    lines = (ASSETS / "mappings.tsv").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    mappings = tuple(
        ((source, _key(theirs)), () if ours == "-" else tuple(ours.split(","))) for source, theirs, ours in rows
    )
    return replace(_read_tsv(ASSETS / "unsafebench.tsv"), mappings=mappings)


# After OpenAI's DALL·E content policy of April 2022, as UnsafeBench has it (arXiv 2405.03486, table 8), in Hazmat's words.
UNSAFEBENCH = _shipped()
