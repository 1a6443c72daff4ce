"""The keep-list: which samples go into the shards, with which weight, and into which shard of which split."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.catalogue.duck import Connection, quoted
from pipeline.catalogue.gather import GROUPS, KEEP, gather, previous_keep
from pipeline.catalogue.labels import label_columns
from pipeline.pack import write_table
from pipeline.selection.edges import BATCH, GroupRules, all_edges
from pipeline.selection.groups import NEW, components, duplicates, largest
from pipeline.selection.splits import SplitRules, assign, mark_held_out
from pipeline.storage.store import Store
from schemas.catalogue import GROUPS_SCHEMA, KEEP_SCHEMA, SPLITS
from schemas.errors import InputError

SPLIT_ORDER = "CASE split " + " ".join(f"WHEN '{name}' THEN {place}" for place, name in enumerate(SPLITS)) + " END"


@dataclass(frozen=True, kw_only=True)
class Balance:
    """Classes of the training split, by the SQL expression `by` over `facts` and derived labels.

    `weight`: every sample stays, `weight` makes the classes count alike (N / (classes · n)). `cap`: at most `times` the median
    class size stays, by a hash of the root, so that variants go with it. `none`: as they come. Val and test are never touched.
    """

    policy: Literal["none", "weight", "cap"] = "weight"
    by: str = "coalesce(pair_label, label, 'none') || ' ' || coalesce(nullif(pair_categories, ''), category, 'none')"
    times: float = 2.0


@dataclass(frozen=True, kw_only=True)
class KeepRules:
    """Everything that decides what the shards hold; part of a shard recipe."""

    groups: GroupRules = field(default_factory=GroupRules)
    splits: SplitRules = field(default_factory=SplitRules)
    balance: Balance = field(default_factory=Balance)
    per_shard: int = 1024
    seed: int = 0


def make_keep_list(con: Connection, store: Store, rules: KeepRules) -> dict[str, Any]:
    """Write `groups.parquet` and `keep.parquet` from the committed rounds; returns the figures for the manifest."""
    size = gather(con, store)
    mark_held_out(con, rules.splits)
    edges = all_edges(con, rules.groups)
    old = con.execute(f"SELECT {_codes('was_split')} AS code FROM facts ORDER BY id").fetchnumpy()["code"]
    groups = components(size, edges, np.asarray(old, dtype=np.int8))
    table = pa.table({"id": np.arange(size), "number": groups.group, "bridge": groups.bridge})
    con.register("component", table)
    label_columns(con, store)
    assign(con, rules.splits)
    _verdict(con, rules)
    lost = duplicates(edges, *_candidates(con, rules.groups))
    con.register(
        "lost", pa.table({"id": pa.array(lost.keys(), pa.int64()), "winner": pa.array(lost.values(), pa.int64())})
    )
    con.execute("""
        UPDATE verdict SET reason = 'duplicate', detail = facts.key
        FROM lost JOIN facts ON facts.id = lost.winner WHERE verdict.id = lost.id
    """)
    _balance(con, rules)
    _place(con, store, rules)
    _write_groups(con, store)
    _write_keep(con, store, rules)
    return _figures(con, largest(groups, edges), sum(edge.skipped for edge in edges))


def _codes(column: str) -> str:
    return f"CASE {column} " + " ".join(f"WHEN '{name}' THEN {i}" for i, name in enumerate(SPLITS)) + f" ELSE {NEW} END"


def _verdict(con: Connection, rules: KeepRules) -> None:
    """One row a sample: its group and split, and the first reason why it cannot be kept."""
    con.execute(f"""
        CREATE TABLE verdict AS
        SELECT id, key, root, name AS "group", coalesce(groups.split, was_split) AS split, held_out,
            CASE WHEN bridge THEN 'bridge' WHEN NOT signed THEN 'unsigned' WHEN blank THEN 'blank'
                WHEN held_out IS NOT NULL AND groups.split <> 'test' THEN 'held_out' END AS reason,
            CASE WHEN reason = 'held_out' THEN held_out END AS detail,
            {rules.balance.by} AS class, 1.0::DOUBLE AS weight
        FROM facts JOIN component USING (id) LEFT JOIN groups USING (number) LEFT JOIN labelled USING (key)
    """)


def _candidates(con: Connection, rules: GroupRules) -> tuple[Any, Any, Any]:
    """Which samples may lose to a near one, which were kept before, and a number for each prompt if prompts matter."""
    if rules.duplicates not in ("picture", "pair"):
        raise InputError(f"duplicates={rules.duplicates!r}: expected 'picture' or 'pair'")
    rows = con.execute("""
        SELECT facts.clean AND verdict.reason IS NULL AS candidate, was_kept, hash(prompt_digest)::VARCHAR AS words
        FROM facts JOIN verdict USING (id) ORDER BY id
    """).fetchnumpy()
    words = np.unique(rows["words"].astype(str), return_inverse=True)[1] if rules.duplicates == "pair" else None
    return rows["candidate"].astype(bool), rows["was_kept"].astype(bool), words


def _balance(con: Connection, rules: KeepRules) -> None:
    balance = rules.balance
    if balance.policy == "cap":
        con.execute(f"""
            CREATE TABLE over AS
            WITH ranked AS (
                SELECT id, row_number() OVER (
                    PARTITION BY class ORDER BY md5(concat({quoted(rules.splits.salt)}, '/', root)), root, key
                ) AS place, count(*) OVER (PARTITION BY class) AS size, class
                FROM verdict WHERE split = 'train' AND reason IS NULL
            ), bound AS (SELECT ceil({balance.times} * median(size)) AS bound FROM (SELECT DISTINCT class, size FROM ranked))
            SELECT id FROM ranked, bound WHERE place > bound;
            UPDATE verdict SET reason = 'over_cap', detail = class WHERE id IN (SELECT id FROM over)
        """)
    elif balance.policy == "weight":
        con.execute("""
            UPDATE verdict SET weight = total / (classes * size) FROM (
                SELECT class, count(*) AS size, sum(count(*)) OVER () AS total, count(*) OVER () AS classes
                FROM verdict WHERE split = 'train' AND reason IS NULL GROUP BY class
            ) sizes WHERE sizes.class = verdict.class AND split = 'train' AND reason IS NULL
        """)


def _place(con: Connection, store: Store, rules: KeepRules) -> None:
    """Create `kept`. Where nothing was added every sample stays in its shard, so removing few rewrites few."""
    con.execute(f"CREATE TABLE earlier AS SELECT key, split, shard FROM {previous_keep(store)}")
    con.execute("""
        CREATE VIEW remaining AS SELECT verdict.*, earlier.shard AS old_shard
        FROM verdict LEFT JOIN earlier ON earlier.key = verdict.key AND earlier.split = verdict.split WHERE reason IS NULL
    """)
    [(added,)] = con.execute("SELECT count(*) FROM remaining WHERE old_shard IS NULL").fetchall()
    shuffled = f"""(row_number() OVER (
        PARTITION BY split ORDER BY md5(concat('{rules.seed}/', key)), key) - 1) // {rules.per_shard}"""
    shard = "old_shard" if not added and _placing(store) == _placed_by(rules) else shuffled
    con.execute(f"""
        CREATE TABLE kept AS
        SELECT key, split, ({shard})::INTEGER AS shard, "group",
            CASE WHEN split = 'test' THEN coalesce(held_out, 'test') END AS test_set, weight, labelled.* EXCLUDE (key)
        FROM remaining LEFT JOIN labelled USING (key)
    """)


def _placed_by(rules: KeepRules) -> dict[bytes, bytes]:
    return {b"per_shard": str(rules.per_shard).encode(), b"seed": str(rules.seed).encode()}


def _placing(store: Store) -> dict[bytes, bytes]:
    if store.size(KEEP) is None:
        return {}
    with store.open(KEEP) as file:
        metadata = pq.ParquetFile(file).schema_arrow.metadata or {}
    return {name: metadata[name] for name in (b"per_shard", b"seed") if name in metadata}


def _write_groups(con: Connection, store: Store) -> None:
    reader = con.sql("""
        SELECT key, "group", split, CASE WHEN split = 'test' THEN coalesce(held_out, 'test') END AS test_set,
            reason IS NULL AS kept, reason, detail FROM verdict ORDER BY key
    """).to_arrow_reader(BATCH)
    write_table(store, GROUPS, GROUPS_SCHEMA, (pa.Table.from_batches([batch]) for batch in reader))


def _write_keep(con: Connection, store: Store, rules: KeepRules) -> None:
    reader = con.sql(f"SELECT * FROM kept ORDER BY {SPLIT_ORDER}, shard, key").to_arrow_reader(BATCH)
    write_table(store, KEEP, KEEP_SCHEMA.with_metadata(_placed_by(rules)), by_shard(reader))


def by_shard(batches: Any) -> Iterator[pa.Table]:
    """Cut ordered batches with columns `split` and `shard` where a shard ends: a table a shard."""
    rest: pa.Table | None = None
    for batch in batches:
        table = pa.Table.from_batches([batch])
        table = table if rest is None else pa.concat_tables([rest, table])
        names = np.char.add(table["split"].to_numpy().astype(str), table["shard"].to_numpy().astype(str))
        starts = [0, *(np.flatnonzero(names[1:] != names[:-1]) + 1).tolist()]
        for first, last in pairwise(starts):
            yield table.slice(first, last - first)
        rest = table.slice(starts[-1])
    if rest is not None and len(rest):
        yield rest


def _figures(con: Connection, biggest: dict[str, Any], skipped: int) -> dict[str, Any]:
    """What a person wants to know about the keep-list; the edge's numbers become keys."""
    left_out = con.execute(
        "SELECT reason, count(*) FROM verdict WHERE reason IS NOT NULL GROUP BY 1 ORDER BY 1"
    ).fetchall()
    splits = con.execute(f"SELECT split, count(*) FROM kept GROUP BY 1 ORDER BY {SPLIT_ORDER}").fetchall()
    sets = con.execute("SELECT test_set, count(*) FROM kept WHERE split = 'test' GROUP BY 1 ORDER BY 1").fetchall()
    [(samples, groups)] = con.execute('SELECT count(*), count(DISTINCT "group") FROM verdict').fetchall()
    glue = biggest["glue"]
    for end in ("a", "b"):
        if glue[end] is not None:
            [(glue[end],)] = con.execute("SELECT key FROM facts WHERE id = ?", [glue[end]]).fetchall()
    return {
        "samples": samples,
        "groups": groups,
        "largest_group": biggest,
        "kept": dict(splits),
        "test_sets": dict(sets),
        "left_out": dict(left_out),
        "pairs_not_compared": skipped,
    }
