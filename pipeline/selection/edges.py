"""What ties two samples together: lineage, the same words, the same or nearly the same picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.catalogue.duck import Connection
from pipeline.selection.near import Ints, Pairs, cosine_pairs, hamming_pairs, minhash_pairs

BATCH = 1 << 17  # rows fetched at a time
SAME_PICTURE = ("pixels", "picture", "embedding")


@dataclass(frozen=True, kw_only=True)
class GroupRules:
    """From when on two clean samples are near; None leaves a measure out. All thresholds belong to the recipe.

    `picture_bits` of 256: at 15, the most that the search is exact for, 18 million pairs of unlike rendered scenes hold
    none, and 95 of 100 pictures are found again after JPEG 50. `duplicates`: whether the same picture under another prompt is a
    duplicate ("picture") or only under the same one ("pair"); in one group they are either way.
    """

    picture_bits: int | None = 15
    words_jaccard: float | None = None
    embedding_cosine: float | None = None
    duplicates: str = "picture"


@dataclass(frozen=True, slots=True)
class Edges:
    """Edges a–b of one kind, by `facts.id`. In a `star` all samples of an equal value hang on the least id, `a` (distance 0)."""

    kind: str
    a: Ints
    b: Ints
    distance: npt.NDArray[np.float32]
    skipped: int = 0
    star: bool = False


def all_edges(con: Connection, rules: GroupRules) -> list[Edges]:
    """Every edge of `facts`, in the order of what is most certain."""
    clean = "clean AND NOT blank AND"
    edges = [
        _star(con, "lineage", "root", "true"),
        _grids(con),
        _star(con, "prompt", "prompt_digest", "prompt_digest IS NOT NULL"),
        _star(con, "spelling", "spelling_digest", "spelling_digest IS NOT NULL"),
        _star(con, "pixels", "pixels_sha256", f"{clean} pixels_sha256 IS NOT NULL"),
    ]
    if rules.picture_bits is not None:
        edges.append(_star(con, "picture", "phash", f"{clean} phash IS NOT NULL"))
        ids, codes = _distinct(con, "phash", np.dtype(np.uint8), 32)
        edges.append(_near("picture", ids, hamming_pairs(codes, rules.picture_bits)))
    if rules.words_jaccard is not None:
        ids, values = _distinct(con, "minhash", np.dtype(np.uint32), 64)
        edges.append(_near("words", ids, minhash_pairs(values, rules.words_jaccard)))
    if rules.embedding_cosine is not None:
        ids, vectors = _embeddings(con)
        edges.append(_near("embedding", ids, cosine_pairs(vectors, rules.embedding_cosine)))
    return edges


def _star(con: Connection, kind: str, column: str, where: str) -> Edges:
    rows = con.execute(f"""
        SELECT hub.id AS a, facts.id AS b FROM facts JOIN (
            SELECT {column}, min(id) AS id FROM facts WHERE {where} GROUP BY {column} HAVING count(*) > 1
        ) hub USING ({column}) WHERE {where} AND facts.id <> hub.id ORDER BY b
    """).fetchnumpy()
    return _edges(kind, rows, star=True)


def _grids(con: Connection) -> Edges:
    """A picture put together from several samples names them in its attack's parameters, as "parents"."""
    rows = con.execute("""
        SELECT other.id AS a, made.id AS b
        FROM (SELECT id, unnest(parents) AS parent FROM facts WHERE len(parents) > 0) made
        JOIN facts other ON other.key = made.parent OR other.root = made.parent ORDER BY b, a
    """).fetchnumpy()
    return _edges("lineage", rows, star=False)


def _edges(kind: str, rows: dict[str, Any], *, star: bool) -> Edges:
    a, b = (np.asarray(rows[name], dtype=np.int64) for name in ("a", "b"))
    return Edges(kind, a, b, np.zeros(len(a), dtype=np.float32), star=star)


def _near(kind: str, ids: Ints, pairs: Pairs) -> Edges:
    return Edges(kind, ids[pairs.a], ids[pairs.b], pairs.distance, pairs.skipped)


def _distinct(con: Connection, column: str, kind: np.dtype[Any], width: int) -> tuple[Ints, npt.NDArray[Any]]:
    """Least id and value of each distinct binary value of a clean sample, in the order of ids."""
    reader = con.sql(f"""
        SELECT min(id) AS id, {column} AS value FROM facts
        WHERE clean AND NOT blank AND {column} IS NOT NULL GROUP BY {column} ORDER BY id
    """).to_arrow_reader(BATCH)
    ids, parts = [np.zeros(0, np.int64)], [np.zeros((0, width), kind)]
    for batch in reader:
        ids.append(batch["id"].to_numpy())
        parts.append(np.frombuffer(b"".join(batch["value"].to_pylist()), dtype=kind).reshape(-1, width))
    return np.concatenate(ids).astype(np.int64), np.concatenate(parts)


def _embeddings(con: Connection) -> tuple[Ints, npt.NDArray[np.float16]]:
    reader = con.sql("""
        SELECT id, embedding FROM facts WHERE clean AND NOT blank AND embedding IS NOT NULL ORDER BY id
    """).to_arrow_reader(BATCH)
    ids: list[Any] = []
    parts: list[Any] = []
    for batch in reader:
        ids.append(batch["id"].to_numpy())
        parts.append(batch["embedding"].values.to_numpy().astype(np.float16).reshape(len(batch), -1))
    if not ids:
        return np.zeros(0, np.int64), np.zeros((0, 1), np.float16)
    return np.concatenate(ids).astype(np.int64), np.concatenate(parts)


def joined(edges: Sequence[Edges]) -> tuple[Ints, Ints]:
    """All edges as two arrays."""
    none = [np.zeros(0, dtype=np.int64)]
    return np.concatenate(none + [e.a for e in edges]), np.concatenate(none + [e.b for e in edges])
