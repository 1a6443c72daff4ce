#!/usr/bin/env python
"""Say what another classifier would have answered: replay a run's pairs, or a server's log, and show whose verdict changes.

    jobs/shadow.py runs/mine runs/mine/models/late_fusion runs/mine/models/cascade     the run's pairs, judged by both
    jobs/shadow.py serve.jsonl runs/old/models/cascade runs/new/models/cascade         what jobs/serve.py --log kept

Each classifier judges under its own threshold. Answers are a Parquet file, a row a pair: key, root, both verdicts, the change; the
summary has counts, the share that changes with its interval, and the rows whose score moved most, by key: no text, no picture.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from typer import Argument, Option

from jobs.command import DONE, LocalCommand, report, resolve_out, run_command, say
from schemas.errors import InputError

if TYPE_CHECKING:
    from classifiers.serving.requests import Asked
    from classifiers.serving.shadow import ShadowRow
    from classifiers.serving.verdicts import ServedModels

EXAMPLES = 10
READ_AT_ONCE = 256


@dataclass(frozen=True, kw_only=True)
class Shadow(LocalCommand):
    """What is replayed, and by whom it is judged."""

    resumes: ClassVar = False

    replayed: Annotated[str, Argument(metavar="RUN_OR_LOG", help="a run, or a file that jobs/serve.py --log wrote")]
    old: Annotated[str, Argument(metavar="OLD", help="the classifier that decided so far")]
    new: Annotated[str, Argument(metavar="NEW", help="the one that may decide from now on")]
    out: Annotated[Path, Option(metavar="FILE", help="for the answers, as Parquet")] = Path("shadow.parquet")


def main(config: Shadow) -> int:
    """Judge twice, compare."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from classifiers.serving.shadow import difference_of, replayed

    started = time.monotonic()
    rows = list(replayed(asked_in(config.replayed), served(config.old), served(config.new)))
    if not rows:
        raise InputError(f"{config.replayed}: there is nothing in it to be judged")
    pq.write_table(pa.Table.from_pylist([row.as_dict() for row in rows]), config.out)
    summary = {"out": str(config.out), **difference_of(rows), "seconds": round(time.monotonic() - started, 2)}
    if summary["rows"] == summary["not_judged"]:
        raise InputError(
            f"{config.replayed}: neither row can be judged by both; {config.old} and {config.new} read other things"
        )
    tell(summary, rows)
    report(config, summary)
    return DONE


def served(folder: str) -> "ServedModels":
    """One classifier. Raises InputError where there is none."""
    from classifiers.saved import Saved
    from classifiers.serving.verdicts import ServedModels
    from pipeline.storage.weights import local_directory

    return ServedModels([Saved(str(local_directory(folder) or folder)).load()])


def asked_in(place: str) -> Iterator[tuple[str, str, "Asked"]]:
    """Key, root and pair of each row, in order. Raises InputError for what is neither a run nor a log."""
    from classifiers.serving.requests import Asked
    from classifiers.serving.verdict_log import logged_rows
    from pipeline.catalogue.question import confined
    from pipeline.catalogue.views import refresh
    from pipeline.rounds.existing_run import existing_run

    if Path(place).is_file():
        yield from ((f"line {number}", f"{number}", row) for number, row in enumerate(logged_rows(Path(place)), 1))
        return
    store, _ = existing_run(resolve_out(place))
    refresh(store)
    what = "key, root, prompt, tar, tar_offset, tar_size"
    with confined(store) as con:
        rows = con.sql(f"SELECT {what} FROM samples WHERE tar IS NOT NULL ORDER BY key").fetchall()
    for first in range(0, len(rows), READ_AT_ONCE):
        part = rows[first : first + READ_AT_ONCE]
        for row, data in zip(part, store.read_ranges([row[3:] for row in part]), strict=True):
            yield row[0], row[1], Asked(row[2], data)


def tell(summary: dict[str, object], rows: "list[ShadowRow]") -> None:
    """For people."""
    judged = int(str(summary["rows"])) - int(str(summary["not_judged"]))
    print(
        f"of {judged} pairs {summary['newly_flagged']} are newly flagged and {summary['no_longer_flagged']} no longer: "
        f"{summary['changed']:.3f} ({summary['changed_low']:.3f} – {summary['changed_high']:.3f}) change, "
        f"McNemar p {summary['mcnemar_p']:.2g}"
    )
    if summary["not_judged"]:
        print(f"  {summary['not_judged']} more could not be judged by both")
    changed = [row for row in rows if row.change in ("newly_flagged", "no_longer_flagged")]
    for row in sorted(changed, key=_moved, reverse=True)[:EXAMPLES]:
        told = row.as_dict()
        print(f"  {told['change']:<18} {told['old_unsafe']:.3f} → {told['new_unsafe']:.3f}  {row.key}")
    say(f"answers: {summary['out']}")


def _moved(row: "ShadowRow") -> float:
    assert row.old is not None and row.new is not None
    return abs(row.new.unsafe - row.old.unsafe)


if __name__ == "__main__":
    run_command(main)
