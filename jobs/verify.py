#!/usr/bin/env python
"""Doubt a run: hash every file again, check receipts, rows, lineage, groups, splits and shards; print one digest.

    jobs/verify.py runs/mine
    jobs/verify.py s3://bucket/runs/mine --json
    jobs/verify.py runs/mine --expect ROOT          nothing at all changed since a command printed that root digest
    jobs/verify.py runs/mine --deep                 labels, catalogue and figures are made again, and compared
    jobs/verify.py runs/mine --repair               labels, catalogue, seals and ledger are made again where they are damaged

The digest is of the data: the same wherever and however often the run was made (one hardware and software; DESIGN 3.3). The root
is of every byte of this very run, times and models included: kept elsewhere, `--expect ROOT` proves later that nothing changed.
What was begun and not finished is a note, not a problem.
Exit 0 all is well, 1 something is wrong, 2 bad use or input.
"""

import argparse
import json
import time

from classifiers.evaluation.summary_checks import check_summaries
from jobs.command import DONE, FAILED, resolve_out, run_command
from jobs.recipes.named import run_with_recipe
from pipeline.dataset.audit import Audit
from pipeline.dataset.derived_checks import check_derived
from pipeline.dataset.repair import repair
from pipeline.dataset.verify import check_expected, verify_run


def main() -> int:
    """Check everything; say what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN", help="a run's folder or object-store url")
    parser.add_argument(
        "--expect", metavar="DIGEST", help="the root digest that the run had; anything else is a problem"
    )
    parser.add_argument("--json", action="store_true", help="print one summary object as the last line")
    parser.add_argument("--deep", action="store_true", help="make what is derived again too, and compare")
    parser.add_argument("--repair", action="store_true", help="first make again what can be made of what is there")
    given = parser.parse_args()
    started = time.monotonic()
    store, _, recipe = run_with_recipe(resolve_out(given.run))
    if given.repair:
        for line in repair(store):
            print(f"made again: {line}")
    audit = verify_run(store, recipe.grouping)
    if given.deep:
        check_derived(audit)
        check_summaries(audit)
    if given.expect is not None:
        check_expected(audit, given.expect)
    return report(audit, time.monotonic() - started, given.json)


def report(audit: Audit, seconds: float, as_json: bool) -> int:
    """Print the problems and the digest."""
    for problem in audit.problems:
        print(f"problem: {problem}")
    for note in audit.notes:
        print(f"note: {note}")
    verdict = "all is well" if not audit.problems else f"{len(audit.problems)} problems"
    print(
        f"{audit.samples} pairs, {audit.files} files, {audit.bytes / 1e6:.1f} MB hashed in {seconds:.1f} s: {verdict}"
    )
    print(f"digest {audit.digest()}")
    print(f"root {audit.root or 'none: no command that writes one was at this run yet'}")
    if as_json:
        counts = {"samples": audit.samples, "files": audit.files, "bytes": audit.bytes}
        found = {"ok": not audit.problems, "problems": audit.problems, "notes": audit.notes}
        digests = {"digest": audit.digest(), "root": audit.root}
        print(json.dumps({"run": audit.store.url, **counts, **found, **digests}))
    return FAILED if audit.problems else DONE


if __name__ == "__main__":
    run_command(main)
