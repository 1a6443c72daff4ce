"""All checks of a run in one call: what `jobs/verify.py` does."""

from collections.abc import Callable

import duckdb

from pipeline.dataset.audit import UNREADABLE, Audit, check_units, said
from pipeline.dataset.audit_log_checks import check_audit_log
from pipeline.dataset.leaks import check_lineage, check_splits
from pipeline.dataset.ownership import check_ledger, check_round_files, check_unowned
from pipeline.dataset.shard_checks import check_shards
from pipeline.dataset.shards import FOLDER as SHARDS
from pipeline.selection.edges import GroupRules
from pipeline.storage.store import Store


def verify_run(store: Store, rules: GroupRules) -> Audit:
    """Look at everything, also after something was found wrong: a file that cannot be read is one more problem."""
    audit = Audit(store)
    owners = check_ledger(audit)
    check_audit_log(audit)
    for folder in round_folders(store):
        check_units(audit, folder, check_round_files(audit, owners, folder))
    checks: dict[str, Callable[[], None]] = {
        "shards": lambda: check_shards(audit, owners.ledger),
        "lineage": lambda: check_lineage(audit),
        "splits": lambda: check_splits(audit, rules),
    }
    for name, check in checks.items():
        try:
            check()
        except (*UNREADABLE, duckdb.Error) as error:
            audit.problems.append(f"the {name} could not be checked: {said(error)}")
    check_unowned(audit, owners)
    return audit


def round_folders(store: Store) -> list[str]:
    """Every round that there is anything of, and the shards."""
    rounds = {"/".join(name.split("/")[:2]) for name in store.names("rounds") if name.count("/") >= 2}
    return [*sorted(rounds), *([SHARDS] if any(True for _ in store.names(SHARDS)) else [])]


def check_expected(audit: Audit, expected: str) -> None:
    """The run is what it was when it had the root digest `expected`: then nothing may be unfinished or without an owner either."""
    if audit.root != expected:
        audit.problems.append(f"the root digest is {audit.root or 'none'}, expected {expected}")
    audit.problems += audit.notes
    audit.notes.clear()
