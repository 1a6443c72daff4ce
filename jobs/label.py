#!/usr/bin/env python
"""Let labellers vote on a run's samples, derive labels from all votes, and exchange votes with people.

    jobs/label.py RUN --labellers tagger_truth,prompt_truth       a round of votes; the same command goes on where it stopped
    jobs/label.py RUN --aggregate dawid_skene                     all votes → RUN/labels.parquet

Exit 0 done, 2 bad use or input, 3 done with quarantined samples.
"""

import argparse
import json
import time
from pathlib import Path

from jobs.command import DONE, QUARANTINED, resolve_out, run_command
from jobs.label_rounds import open_label_round
from jobs.labellers import labellers_of
from pipeline.commit import parquet_bytes
from pipeline.round import pending, run_digest
from pipeline.store import Store, open_store
from pipeline.votes.labels import METHODS, Policy, labels_of
from pipeline.votes.read import read_votes
from schemas.errors import InputError
from schemas.taxonomy import UNSAFEBENCH


def parse() -> argparse.Namespace:
    """The command line; exactly one of the four actions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN", help="the run's folder or object-store url")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--labellers", metavar="A,B", help="files of stages/label; NAME=MODEL for another model")
    action.add_argument("--aggregate", metavar="METHOD", help=f"one of {', '.join(METHODS)}")
    parser.add_argument(
        "--engine", choices=("local", "ray"), default="ray", help="for --labellers (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print one summary object as the last line")
    return parser.parse_args()


def main() -> int:
    """One action, one summary."""
    given = parse()
    store = open_run(resolve_out(given.run))
    summary = label(store, given.labellers, given.engine) if given.labellers else aggregate(store, given.aggregate)
    for name, value in summary.items():
        print(f"{name:<16}{value}")
    if given.json:
        print(json.dumps(summary))
    return QUARANTINED if summary.get("quarantined") else DONE


def open_run(url: str) -> Store:
    """The store of a finished or running run. Raises InputError if there is none; a restricted run stays its owner's alone."""
    if "://" not in url and not Path(url).is_dir():
        raise InputError(f"{url}: there is no such run; give the --out of jobs/generate.py")
    facts = open_store(url).read("run.json")
    restricted = facts is not None and json.loads(facts).get("restricted", False)
    return open_store(url, private=bool(restricted))


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


def aggregate(store: Store, method: str) -> dict[str, object]:
    """Derive labels.parquet, and agreement.parquet if people voted."""
    votes, digest = read_votes(store)
    if votes.num_rows == 0:
        raise InputError(f"{store.url} holds no votes; run jobs/label.py {store.url} --labellers A,B first")
    policy = Policy(UNSAFEBENCH.name, UNSAFEBENCH.version, UNSAFEBENCH.ids)
    labels = labels_of(votes, method, policy, digest)
    store.write("labels.parquet", parquet_bytes(labels))
    counts = labels.group_by(["scope", "label"]).aggregate([([], "count_all")]).to_pylist()
    return {
        "labels": f"{store.url}/labels.parquet",
        "votes": votes.num_rows,
        "annotators": len(votes["annotator"].unique()),
        **{
            f"{row['scope']} {row['label']}": row["count_all"]
            for row in sorted(counts, key=lambda r: (r["scope"], r["label"]))
        },
    }


if __name__ == "__main__":
    run_command(main)
