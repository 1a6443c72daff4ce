"""Does the audit log hold together? Its chain is walked from the first entry to the last."""

from pipeline.dataset.audit import Audit
from pipeline.rounds.audit_log import FOLDER, entries
from schemas.errors import HazmatError


def check_audit_log(audit: Audit) -> None:
    """One problem for the first entry that is damaged or does not follow: what comes after cannot be believed either."""
    audit.owned |= set(audit.store.names(FOLDER))
    try:
        for _ in entries(audit.store):
            pass
    except HazmatError as error:
        audit.problems.append(str(error))
