"""All checks of a run in one call: what `jobs/verify.py` does."""

from collections.abc import Callable

import duckdb
import pyarrow as pa

from pipeline.dataset.audit import Audit, check_rounds, check_shards
from pipeline.dataset.leaks import check_lineage, check_splits
from pipeline.selection.edges import GroupRules
from pipeline.storage.store import Store
from schemas.errors import HazmatError


def verify_run(store: Store, rules: GroupRules) -> Audit:
    """Look at everything, also after something was found wrong: a file that cannot be read is one more problem."""
    audit = Audit(store)
    check_rounds(audit)
    checks: dict[str, Callable[[], None]] = {
        "shards": lambda: check_shards(audit),
        "lineage": lambda: check_lineage(audit),
        "splits": lambda: check_splits(audit, rules),
    }
    for name, check in checks.items():
        try:
            check()
        except (duckdb.Error, pa.ArrowException, HazmatError) as error:
            audit.problems.append(f"the {name} could not be checked: {str(error).splitlines()[0]}")
    return audit
