"""Look for what must not be: broken lineage, a group in two splits, near pairs across splits. By queries and by the same search
that made the groups, run again on what was kept."""

from itertools import islice

import numpy as np

from pipeline.catalogue.duck import Connection, parquet, reach, scratch_database
from pipeline.catalogue.gather import GROUPS, REVOKED, REVOKED_SCHEMA, derived, gather, previous_keep
from pipeline.dataset.audit import Audit
from pipeline.dataset.derivations import is_child, made_on_the_way
from pipeline.rounds.rounds import all_rounds, planned_and_committed, stage_names
from pipeline.selection.edges import Edges, GroupRules, all_edges
from pipeline.selection.near import Ints
from schemas.catalogue import GROUPS_SCHEMA
from schemas.sample import SAMPLE_SCHEMA

SHOWN = 5  # examples of each problem


def check_lineage(audit: Audit) -> None:
    """Keys are unique; every parent is known and of the same root; what comes of an attacked sample is not clean."""
    store = audit.store
    plans, rows = planned_and_committed(store)
    revoked = derived(store, REVOKED, REVOKED_SCHEMA)
    with scratch_database() as con:
        reach(con, store)
        columns = "key, root, parent, clean, attack.name AS attack"
        con.execute(f"CREATE TABLE rows AS SELECT {columns} FROM {parquet(store, rows, SAMPLE_SCHEMA)}")
        con.execute(f"""
            CREATE TABLE known AS SELECT key, root, clean FROM {parquet(store, plans, SAMPLE_SCHEMA)}
            UNION SELECT key, root, clean FROM rows
        """)
        _complain(audit, con, "was committed more than once", "SELECT key FROM rows GROUP BY key HAVING count(*) > 1")
        _check_parents(audit, con)
        _complain(
            audit, con, "has another root than its parent",
            "SELECT DISTINCT rows.key FROM rows JOIN known ON known.key = rows.parent WHERE known.root <> rows.root",
        )  # fmt: skip
        _complain(
            audit, con, "is called clean and comes of an attack",
            """SELECT DISTINCT rows.key FROM rows LEFT JOIN known ON known.key = rows.parent
            WHERE rows.clean AND (rows.attack IS NOT NULL OR NOT known.clean)""",
        )  # fmt: skip
        _complain(
            audit,
            con,
            "was revoked and is still there",
            f"SELECT key FROM rows WHERE key IN (SELECT key FROM {revoked})",
        )


def _check_parents(audit: Audit, con: Connection) -> None:
    """A parent was planned or committed, or its key shows that stages made it on the way from what was."""
    stages = sorted({name for folder in all_rounds(audit.store) for name in stage_names(audit.store, folder)})
    con.execute(
        "CREATE TABLE orphans AS SELECT key, root, parent FROM rows WHERE parent NOT IN (SELECT key FROM known)"
    )
    relatives = con.execute("""
        SELECT orphans.key, parent, list(known.key ORDER BY known.key <> orphans.root, known.key)
        FROM orphans LEFT JOIN known USING (root) GROUP BY ALL ORDER BY 1
    """)
    lost = (
        key
        for key, parent, known in iter(relatives.fetchone, None)
        if not (is_child(key, [parent], stages) and made_on_the_way(parent, known, stages))
    )
    # Only a few, for each costs a search that finds nothing.
    audit.problems += [f"{key} has a parent that no round planned or committed" for key in islice(lost, SHOWN)]


def check_splits(audit: Audit, rules: GroupRules) -> None:
    """No group in two splits, and nothing kept in one split is tied to anything kept in another."""
    if audit.store.size(GROUPS) is None:
        return
    with scratch_database() as con:
        gather(con, audit.store)
        groups = derived(audit.store, GROUPS, GROUPS_SCHEMA)
        con.execute(f"CREATE TABLE kept AS SELECT * FROM {previous_keep(audit.store)}")
        con.execute(f"CREATE TABLE groups AS SELECT * FROM {groups}")
        _complain(
            audit, con, "is a group in more than one split",
            'SELECT "group" FROM groups WHERE "group" IS NOT NULL GROUP BY "group" HAVING count(DISTINCT split) > 1',
        )  # fmt: skip
        _complain(
            audit, con, "is in the keep-list against groups.parquet",
            "SELECT key FROM kept ANTI JOIN (SELECT key, split FROM groups WHERE kept) USING (key, split)",
        )  # fmt: skip
        _complain(audit, con, "is kept twice", "SELECT key FROM kept GROUP BY key HAVING count(*) > 1")
        rows = con.execute("SELECT facts.key, kept.split FROM facts LEFT JOIN kept USING (key) ORDER BY id").fetchall()
        keys = [row[0] for row in rows]
        codes = {name: number for number, name in enumerate(sorted({row[1] for row in rows if row[1]}))}
        split = np.array([codes.get(row[1], -1) for row in rows], dtype=np.int64)
        for edge in all_edges(con, rules):
            for a, b in across(edge, split):
                audit.problems.append(f"{keys[a]} and {keys[b]} are tied by {edge.kind} and in two splits")


def across(edge: Edges, split: Ints) -> list[tuple[int, int]]:
    """Pairs that an edge, or a star of equal values, ties across splits; `split` is -1 for what is not kept. A few."""
    if not edge.star:
        apart = (split[edge.a] >= 0) & (split[edge.b] >= 0) & (split[edge.a] != split[edge.b])
        return list(zip(edge.a[apart].tolist(), edge.b[apart].tolist(), strict=True))[:SHOWN]
    problems = []
    first: dict[int, int] = {}  # of each star: a member that is kept
    for hub, member in zip(edge.a.tolist(), edge.b.tolist(), strict=True):
        for one in (hub, member):
            if split[one] >= 0 and split[first.setdefault(hub, one)] != split[one]:
                problems.append((first[hub], one))
    return problems[:SHOWN]


def _complain(audit: Audit, con: Connection, what: str, sql: str) -> None:
    rows = [str(row[0]) for row in con.execute(f"{sql} ORDER BY 1").fetchall()]
    audit.problems += [f"{key} {what}" for key in rows[:SHOWN]]
    if len(rows) > SHOWN:
        audit.problems.append(f"… and {len(rows) - SHOWN} more {what}")
