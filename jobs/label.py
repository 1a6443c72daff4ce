#!/usr/bin/env python
"""Let labellers vote on a run's samples, derive labels from all votes, and exchange votes with people.

    jobs/label.py RUN --labellers tagger_truth,prompt_truth       a round of votes
    jobs/label.py RUN --labellers llavaguard --model-dir DIR      a published guard (docs/guide/label.md lists them)
    jobs/label.py RUN --aggregate dawid_skene                     all votes → RUN/labels.parquet
    jobs/label.py RUN --taxonomy own.json --labellers vlm_judge=DIR    by a policy of one's own, from now on
    jobs/label.py RUN --export tasks.json --for-review 200        what a person should see first, as Label Studio tasks
    jobs/label.py RUN --import tasks.json                         people's votes back from Label Studio
    jobs/label.py RUN --withdraw rounds/004-label-people-1a2b3c4d an import taken back

The same command goes on where it stopped. No vote is ever overwritten: labels are derived from all of them, again at any time.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from typer import Option

from jobs.command import DONE, QUARANTINED, ScatteredCommand, report, resolve_out, run_command, say, tell_root, warn
from jobs.command.flags import Run, TaxonomyFile, named
from jobs.command.keys import KeysFile, read_keys
from schemas.errors import InputError

if TYPE_CHECKING:
    from pipeline.storage.store import Store

OTHER_JUDGES = (
    "The world's judges read its words only (jobs/world.py words); for others zero_shot=CLIP, vlm_judge=LLAVA, remote_judge or "
    "people (--export) can vote too"
)


@dataclass(frozen=True, kw_only=True)
class Label(ScatteredCommand):
    """Exactly one of the four actions."""

    lists = ("labellers",)
    exits: ClassVar = {QUARANTINED: "done, with quarantined samples"}

    run: Run
    labellers: Annotated[
        str | None, named("labellers", "who votes, listed below; NAME=MODEL,key=value sets its fields")
    ] = None
    model_dir: Annotated[
        Path | None, Option(metavar="DIR", help="the labeller's model; of several, a folder for each, called as it is")
    ] = None
    aggregate: Annotated[
        Literal["majority", "dawid_skene"] | None, Option(help="derive labels from all votes by this method")
    ] = None
    export: Annotated[Path | None, Option(metavar="FILE", help="write Label Studio tasks; with --for-review")] = None
    import_: Annotated[Path | None, Option("--import", metavar="FILE", help="read Label Studio annotations")] = None
    withdraw: Annotated[
        str | None, Option(metavar="ROUND", help="take back the votes that an --import committed in this round")
    ] = None
    reveal: Annotated[bool, Option("--reveal", help="with --export: pictures as they are, kept on record")] = False
    taxonomy: TaxonomyFile = None
    for_review: Annotated[int | None, Option(min=1, metavar="N", help="how many samples to export")] = None
    keys: KeysFile = None

    def __post_init__(self) -> None:
        super().__post_init__()
        actions = (self.labellers, self.aggregate, self.export, self.import_, self.withdraw)
        if sum(action is not None for action in actions) != 1:
            raise InputError("give one of --labellers, --aggregate, --export, --import and --withdraw")
        if (self.export is None) != (self.for_review is None):
            raise InputError("--export FILE and --for-review N go together")
        if self.model_dir is not None and self.labellers is None:
            raise InputError("--model-dir goes with --labellers")
        if self.reveal and self.export is None:
            raise InputError("--reveal goes with --export")
        if self.keys is not None and self.export is None:
            raise InputError("--keys goes with --export: only these samples are exported")


def main(config: Label) -> int:
    """One action, one summary."""
    from pipeline.rounds.existing_run import adopt, open_run
    from pipeline.rounds.round import environment
    from pipeline.votes.aggregate import aggregate
    from schemas.taxonomy import Taxonomy
    from stages.rounds.human_votes import export_tasks, import_votes, withdraw_votes

    store = open_run(resolve_out(config.run))
    if config.taxonomy is not None:
        adopt(store, Taxonomy.read(config.taxonomy), environment())
    if config.labellers is not None:
        summary = label(store, config.labellers, config.engine, config.workers, config.model_dir)
    elif config.aggregate is not None:
        summary = aggregate(store, config.aggregate)
    elif config.export is not None and config.for_review is not None:
        only = None if config.keys is None else read_keys(config.keys)
        summary = export_tasks(store, config.export, config.for_review, reveal=config.reveal, only=only)
    elif config.import_ is not None:
        summary = import_votes(store, config.import_)
    elif config.withdraw is not None:
        summary = withdraw_votes(store, config.withdraw)
    width = max(map(len, summary)) + 2
    for name, value in summary.items():
        say(f"{name:<{width}}{value}")
    warnings = useless_labels(summary)
    for text in warnings:
        warn(text)
    report(config, {**summary, **({"warnings": warnings} if warnings else {}), "root": tell_root(store)})
    return QUARANTINED if summary.get("quarantined") else DONE


def useless_labels(summary: dict[str, object]) -> list[str]:
    """What makes derived labels of no use to a classifier: most are `na`, or all say the same. `summary` is of an aggregation."""
    counts = {
        scope: {label: int(str(summary.get(f"{scope} {label}", 0))) for label in ("safe", "unsafe", "na")}
        for scope in ("prompt", "image", "pair")
    }
    messages = []
    for scope, by in counts.items():
        total = sum(by.values())
        if by["na"] * 2 > total:
            messages.append(
                f"{by['na']} of {total} {scope} labels are `na`: no labeller that voted could tell. {OTHER_JUDGES}"
            )
        elif total:
            messages += [
                f"no {scope} is {label}: nothing can be learnt of it" for label in ("safe", "unsafe") if not by[label]
            ]
    return messages


def label(
    store: "Store", names: str, engine: str, workers: int | None = None, models: Path | None = None
) -> dict[str, object]:
    """Carry out what is left of the round of these labellers."""
    from pipeline.rounds.existing_run import taxonomy_of
    from pipeline.rounds.round import pending, run_digest
    from stages.label.by_name import labellers_of
    from stages.rounds.label_round import open_label_round

    started = time.monotonic()
    opened = open_label_round(store, labellers_of(names, taxonomy_of(store), models))
    samples = sum(receipt.samples for receipt in opened.carry_out(engine, workers))
    receipts = list(opened.round.receipts())
    return {
        "round": opened.round.folder,
        "units": len(receipts),
        "pending": len(pending(opened.round)),
        "samples": sum(receipt.samples for receipt in receipts),
        "quarantined": sum(receipt.quarantined for receipt in receipts),
        "labelled_now": samples,
        "seconds": round(time.monotonic() - started, 2),
        "digest": run_digest(receipts),
    }


if __name__ == "__main__":
    run_command(main)
