#!/usr/bin/env python
"""Let labellers vote on a run's samples, derive labels from all votes, and exchange votes with people.

    jobs/label.py RUN --labellers tagger_truth,prompt_truth       a round of votes; the same command goes on where it stopped
    jobs/label.py RUN --aggregate dawid_skene                     all votes → RUN/labels.parquet
    jobs/label.py RUN --export tasks.json --for-review 200        what a person should see first, as Label Studio tasks
    jobs/label.py RUN --import tasks.json                         people's votes back from Label Studio
    jobs/label.py RUN --withdraw rounds/004-label-people-1a2b3c4d an import taken back

Exit 0 done, 2 bad use or input, 3 done with quarantined samples.
"""

import argparse
import json
import time
from pathlib import Path

from jobs.command import DONE, QUARANTINED, resolve_out, run_command
from pipeline.rounds.existing_run import open_run
from pipeline.rounds.ledger import root_digest
from pipeline.rounds.round import pending, run_digest
from pipeline.storage.store import Store
from pipeline.votes.aggregate import aggregate
from pipeline.votes.labels import METHODS
from stages.label.by_name import labellers_of
from stages.rounds.human_votes import export_tasks, import_votes, withdraw_votes
from stages.rounds.label_round import open_label_round


def parse() -> argparse.Namespace:
    """The command line; exactly one of the four actions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN", help="the run's folder or object-store url")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--labellers", metavar="A,B", help="files of stages/label; NAME=MODEL for another model")
    action.add_argument("--aggregate", metavar="METHOD", help=f"one of {', '.join(METHODS)}")
    action.add_argument("--export", metavar="FILE", type=Path, help="write Label Studio tasks; with --for-review")
    action.add_argument("--import", metavar="FILE", type=Path, dest="import_", help="read Label Studio annotations")
    action.add_argument(
        "--withdraw", metavar="ROUND", help="take back the votes that an --import committed in this round"
    )
    parser.add_argument("--reveal", action="store_true", help="with --export: pictures as they are, kept on record")
    parser.add_argument("--for-review", metavar="N", type=int, help="how many samples to export")
    parser.add_argument(
        "--engine", choices=("local", "ray"), default="ray", help="for --labellers (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print one summary object as the last line")
    given = parser.parse_args()
    if (given.export is None) != (given.for_review is None) or (given.for_review or 1) < 1:
        parser.error("--export FILE and --for-review N go together, and N is at least 1")
    if given.reveal and given.export is None:
        parser.error("--reveal goes with --export")
    return given


def main() -> int:
    """One action, one summary."""
    given = parse()
    store = open_run(resolve_out(given.run))
    if given.labellers is not None:
        summary = label(store, given.labellers, given.engine)
    elif given.aggregate is not None:
        summary = aggregate(store, given.aggregate)
    elif given.export is not None:
        summary = export_tasks(store, given.export, given.for_review, reveal=given.reveal)
    elif given.withdraw is not None:
        summary = withdraw_votes(store, given.withdraw)
    else:
        summary = import_votes(store, given.import_)
    summary["root"] = root_digest(store)
    for name, value in summary.items():
        print(f"{name:<16}{value}")
    if given.json:
        print(json.dumps(summary))
    return QUARANTINED if summary.get("quarantined") else DONE


def label(store: Store, names: str, engine: str) -> dict[str, object]:
    """Carry out what is left of the round of these labellers."""
    started = time.monotonic()
    opened = open_label_round(store, labellers_of(names))
    made = sum(receipt.samples for receipt in opened.carry_out(engine))
    receipts = list(opened.round.receipts())
    seconds = time.monotonic() - started
    return {
        "round": opened.round.folder,
        "units": len(receipts),
        "pending": len(pending(opened.round)),
        "samples": sum(receipt.samples for receipt in receipts),
        "quarantined": sum(receipt.quarantined for receipt in receipts),
        "labelled_now": made,
        "seconds": round(seconds, 2),
        "digest": run_digest(receipts),
    }


if __name__ == "__main__":
    run_command(main)
