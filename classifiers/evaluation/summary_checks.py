"""Ask the result rows again, and compare: are the figures of `results/*/summary-*.json` those of its rows?"""

import json

import duckdb

from classifiers.evaluation.metrics import measures, opened
from classifiers.evaluation.results import FOLDER
from pipeline.dataset.audit import UNREADABLE, Audit, said

BEYOND_ROWS = ("sanity",)  # gradient checks of the models are among them
NEWER = ("overview",)  # that summaries of earlier versions lack


def check_summaries(audit: Audit) -> None:
    """Every summary of the run; a figure that its rows do not give is a problem."""
    for name in audit.store.names(FOLDER):
        if name.rsplit("/", 1)[-1].startswith("summary-") and name.endswith(".json"):
            try:
                _check(audit, name)
            except (*UNREADABLE, duckdb.Error) as error:
                audit.problems.append(f"{name} could not be made again: {said(error)}")


def _check(audit: Audit, name: str) -> None:
    there = json.loads(audit.store.read(name) or b"")
    with opened(audit.store, there["dataset"], there["scorers"]) as con:
        again = json.loads(json.dumps(measures(con)))
    checked = [what for what in again if what not in BEYOND_ROWS and (what in there or what not in NEWER)]
    other = [what for what in checked if _rows(there.get(what)) != _rows(again[what])]
    if other:
        audit.problems.append(f"{name}: {', '.join(other)} are not what the rows give; run jobs/evaluate.py again")


def _rows(rows: object) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True) for row in rows) if isinstance(rows, list) else []
