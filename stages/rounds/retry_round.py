"""The plans that try quarantined samples again: a round for each stage that failed, which appends what now succeeds."""

from collections.abc import Iterator
from dataclasses import replace

import pyarrow.parquet as pq

from pipeline.plan import Plan
from pipeline.rounds.ledger import forgotten
from pipeline.rounds.rounds import all_rounds, committed_files
from pipeline.storage.store import Store
from stages.rounds.only import Only


def undo_empty_retries(store: Store) -> list[str]:
    """Delete the rounds of retries of which no unit was committed, so that nothing is lost; returns their folders."""
    empty = []
    for folder in all_rounds(store):
        if "-retry-" in folder and not any(True for _ in store.names(f"{folder}/receipts")):
            with forgotten(store, folder):
                for name in list(store.names(folder)):
                    store.delete(name)
            empty.append(folder)
    return empty


def retry_plans(store: Store, folder: str, plan: Plan) -> Iterator[tuple[str, Plan]]:
    """(name of the round, plan) for each stage of `plan` that put samples of the round `folder` into quarantine.

    The plan goes through the same stages from the roots on, but only the quarantined samples pass into the stage that failed.
    """
    failed: dict[str, list[dict[str, str]]] = {}
    for name in committed_files(store, folder, "quarantine/", ".parquet"):
        with store.open(name) as file:
            for row in pq.ParquetFile(file).read(columns=["key", "root", "stage"]).to_pylist():
                failed.setdefault(row["stage"], []).append(row)
    names = [stage.name for stage in plan.stages]
    for stage, rows in sorted(failed.items(), key=lambda entry: names.index(entry[0])):
        at = names.index(stage)
        roots = {row["root"] for row in rows}
        only = Only(keys=tuple(sorted(row["key"] for row in rows)))
        items = tuple(item for item in plan.items if item.root in roots)
        yield f"retry-{stage}", replace(plan, stages=(*plan.stages[:at], only, *plan.stages[at:]), items=items)
