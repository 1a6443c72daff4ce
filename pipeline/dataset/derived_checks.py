"""Make what is derived again, from votes and committed units, and compare: what `jobs/verify.py --deep` adds."""

from collections.abc import Callable
from typing import Any

import duckdb
import pyarrow.parquet as pq

from pipeline.catalogue.duck import quoted, reach, scratch_database
from pipeline.catalogue.gather import GROUPS, KEEP
from pipeline.catalogue.labels import LABELS
from pipeline.catalogue.views import FOLDER as CATALOGUE
from pipeline.catalogue.views import STATE, catalog_sql, receipts_table, sources, state_of
from pipeline.dataset.audit import UNREADABLE, Audit, said
from pipeline.dataset.manifest import read_manifest
from pipeline.dataset.shards import MANIFEST
from pipeline.rounds.existing_run import taxonomy_of
from pipeline.storage.store import Store
from pipeline.votes.aggregate import derive
from pipeline.votes.read import read_votes


def check_derived(audit: Audit) -> None:
    """Labels, the catalogue and the manifest's figures; what cannot be read is one more problem."""
    checks: dict[str, Callable[[Audit], None]] = {
        LABELS: check_labels,
        CATALOGUE: check_catalogue,
        MANIFEST: check_figures,
    }
    for name, check in checks.items():
        try:
            check(audit)
        except (*UNREADABLE, duckdb.Error) as error:
            audit.problems.append(f"{name} could not be made again: {said(error)}")


def check_labels(audit: Audit) -> None:
    """The labels are those that the votes of now give by the method that they name."""
    store = audit.store
    if store.size(LABELS) is None:
        return
    with store.open(LABELS) as file:
        there = pq.ParquetFile(file).read()
    votes, votes_digest = read_votes(store)
    if set(there["votes_digest"].to_pylist()) - {votes_digest}:
        audit.notes.append(
            f"{LABELS} is of other votes than there are now; jobs/label.py RUN --aggregate METHOD counts all"
        )
        return
    taxonomy = taxonomy_of(store)
    if set(there["policy"].to_pylist()) - {taxonomy.name} or set(there["policy_version"].to_pylist()) - {
        taxonomy.version
    }:
        audit.notes.append(
            f"{LABELS} is of before the run's taxonomy; jobs/label.py RUN --aggregate METHOD counts by it"
        )
        return
    again = derive(votes, method_of(there), votes_digest, taxonomy)
    differs = sum(one != other for one, other in zip(there.to_pylist(), again.to_pylist(), strict=False))
    differs += abs(there.num_rows - again.num_rows)
    if differs:
        audit.problems.append(
            f"{LABELS}: {differs} rows are not what the votes give; jobs/label.py RUN --aggregate METHOD"
        )


def method_of(labels: Any) -> str:
    """The name of the method by which a table of labels was derived."""
    names = labels["method"].to_pylist()
    return str(names[0]).split("/")[0] if names else "majority"


def check_catalogue(audit: Audit) -> None:
    """The tables behind the views hold what the units, labels and results hold."""
    store = audit.store
    if store.size(STATE) is None:
        return
    if store.read(STATE) != state_of(store):
        audit.notes.append("the catalogue is of before the last change; jobs/query.py brings it up to date")
        return
    if store.read("catalog.sql") != catalog_sql().encode():
        audit.problems.append("catalog.sql is not Hazmat's; jobs/verify.py RUN --repair makes it again")
    for name in _other_tables(store):
        audit.problems.append(
            f"{CATALOGUE}/{name}.parquet: not what it gathers; jobs/verify.py RUN --repair makes it again"
        )


def _other_tables(store: Store) -> list[str]:
    other = []
    with scratch_database() as con:
        reach(con, store)
        for name, sql, _ in sources(store):
            kept = f"SELECT * FROM read_parquet({quoted(f'{store.url}/{CATALOGUE}/{name}.parquet')})"
            [(count,)] = con.execute(
                f"SELECT count(*) FROM ((({sql}) EXCEPT ALL ({kept})) UNION ALL (({kept}) EXCEPT ALL ({sql})))"
            ).fetchall()
            other += [name] if count else []
    with store.open(f"{CATALOGUE}/receipts.parquet") as file:
        same = pq.ParquetFile(file).read().to_pylist() == receipts_table(store).to_pylist()
    return other if same else [*other, "receipts"]


def check_figures(audit: Audit) -> None:
    """What the manifest says of the keep-list is what groups and keep-list hold."""
    store = audit.store
    if store.size(MANIFEST) is None:
        return
    inputs = read_manifest(store)["made_from"]
    groups, keep = (f"read_parquet({quoted(f'{store.url}/{name}')})" for name in (GROUPS, KEEP))
    questions = {
        "kept": f"SELECT split, count(*) FROM {keep} GROUP BY 1",
        "test_sets": f"SELECT test_set, count(*) FROM {keep} WHERE split = 'test' GROUP BY 1",
        "left_out": f"SELECT reason, count(*) FROM {groups} WHERE reason IS NOT NULL GROUP BY 1",
    }
    with scratch_database() as con:
        reach(con, store)
        for name, sql in questions.items():
            if "revoked" not in inputs and inputs.get(name) != dict(con.execute(sql).fetchall()):
                audit.problems.append(
                    f"{MANIFEST}: made_from.{name} is not what {GROUPS} and {KEEP} hold; run jobs/shards.py"
                )
