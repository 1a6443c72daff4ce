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
"""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from typer import Option

from jobs.command import DONE, FAILED, LocalCommand, report, resolve_out, run_command, say
from jobs.command.flags import Run

if TYPE_CHECKING:
    from pipeline.dataset.audit import Audit


@dataclass(frozen=True, kw_only=True)
class Verify(LocalCommand):
    """Which run."""

    exits: ClassVar = {DONE: "all is well", FAILED: "something is wrong"}
    resumes = False

    run: Run
    expect: Annotated[
        str | None, Option(metavar="DIGEST", help="the root digest that the run had; anything else is a problem")
    ] = None
    deep: Annotated[bool, Option("--deep", help="make what is derived again too, and compare")] = False
    repair: Annotated[bool, Option("--repair", help="first make again what can be made of what is there")] = False


def main(config: Verify) -> int:
    """Check everything; say what is wrong."""
    from classifiers.evaluation.summary_checks import check_summaries
    from jobs.recipes.named import run_with_recipe
    from pipeline.dataset.derived_checks import check_derived
    from pipeline.dataset.repair import repair
    from pipeline.dataset.verify import check_expected, verify_run

    started = time.monotonic()
    store, _, recipe = run_with_recipe(resolve_out(config.run))
    if config.repair:
        for line in repair(store):
            say(f"made again: {line}")
    audit = verify_run(store, recipe.grouping)
    if config.deep:
        check_derived(audit)
        check_summaries(audit)
    if config.expect is not None:
        check_expected(audit, config.expect)
    print_audit(audit, time.monotonic() - started)
    summary = {"run": store.url, "samples": audit.samples, "files": audit.files, "bytes": audit.bytes}
    outcome = {"ok": not audit.problems, "problems": audit.problems, "notes": audit.notes}
    report(config, summary | outcome | {"digest": audit.digest(), "root": audit.root})
    return FAILED if audit.problems else DONE


def print_audit(audit: "Audit", seconds: float) -> None:
    """The problems and the digest."""
    for problem in audit.problems:
        print(f"problem: {problem}")
    for note in audit.notes:
        say(f"note: {note}")
    verdict = "all is well" if not audit.problems else f"{len(audit.problems)} problems"
    say(f"{audit.samples} pairs, {audit.files} files, {audit.bytes / 1e6:.1f} MB hashed in {seconds:.1f} s: {verdict}")
    print(f"digest {audit.digest()}")
    print(f"root {audit.root or 'none: no command that writes one was at this run yet'}")


if __name__ == "__main__":
    run_command(main)
