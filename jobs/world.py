#!/usr/bin/env python
"""The embedded world: the words that it knows, and the training of its parts (tokenizer, autoencoder, CLIP, diffusion, tagger).

    jobs/world.py words                         every word, by what it shows
    jobs/world.py words --prompts mine.csv      the share of your prompts that it can read, and what it cannot
    jobs/world.py train vae --minutes 10        goes on where a killed run stopped; the same command resumes
    jobs/world.py train t2i --samples 2000000 --workers 2
    jobs/world.py train clip-text --start assets/world    begins from committed weights; then clip, t2i, tagger likewise

Order: tokenizer, then vae and clip (side by side), then t2i and tagger (both need the vae, t2i needs clip's text tower).
`clip` trains both towers, or with --start the picture tower alone against what `clip-text` made.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from typer import Argument, Option

from jobs.command import DONE, LocalCommand, report, run_command
from jobs.command.flags import Seed, Workers
from schemas.errors import InputError


@dataclass(frozen=True, kw_only=True)
class TrainPart(LocalCommand):
    """Which part, from what, for how long."""

    renamed: ClassVar = {
        "--processes": "write --workers N",
        "--warm": "write --start DIR",
        "--export": "write --export-only",
    }

    threads = 1  # see pipeline/training/process_group.py

    part: Annotated[
        Literal["tokenizer", "vae", "clip-text", "clip", "t2i", "tagger"], Argument(metavar="PART", help="which")
    ]
    out: Annotated[Path, Option(metavar="DIR", help="where the finished part is stored")] = Path("assets/world")
    work: Annotated[Path, Option(metavar="DIR", help="checkpoints, curves and caches")] = Path("runs/world")
    minutes: Annotated[
        float | None,
        Option(min=0, metavar="N", help="wall time, added up over restarts; the rate falls to 0 with it"),
    ] = None
    samples: Annotated[int | None, Option(min=1, metavar="N", help="instead of --minutes: reproducible")] = None
    workers: Workers = None
    seed: Seed = 0
    start: Annotated[Path | None, Option(metavar="DIR", help="trained parts to start from, as assets/world")] = None
    export_only: Annotated[bool, Option("--export-only", help="only store what the last checkpoint holds")] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.minutes is not None and self.samples is not None:
            raise InputError("give --minutes or --samples, not both")


def train(config: TrainPart) -> int:
    """Train one part of the world."""
    from stages.world.training.parts import TrainConfig
    from stages.world.training.parts import train as train_part

    started = time.monotonic()
    train_part(
        TrainConfig(
            part=config.part,
            out=config.out,
            work=config.work,
            minutes=config.minutes,
            samples=config.samples,
            processes=config.workers or 1,
            seed=config.seed,
            export_only=config.export_only,
            warm=config.start,
        )
    )
    report(config, {"part": config.part, "out": str(config.out), "seconds": round(time.monotonic() - started, 1)})
    return DONE


@dataclass(frozen=True, kw_only=True)
class ListWords(LocalCommand):
    """Whose words."""

    prompts: Annotated[str | None, Option(metavar="FILE", help="prompts to look at: .txt, .csv, .jsonl, .parquet")] = (
        None
    )
    column: Annotated[str | None, Option(metavar="NAME", help="the column of the prompts (default: prompt)")] = None


def words(config: ListWords) -> int:
    """List the words that the embedded world knows, or say which of your prompts it can read."""
    if config.prompts is None:
        from stages.world.known_words import known_words

        table = known_words()
        for what, entries in table.items():
            print(f"{what:<32} {', '.join(entries)}")
        report(config, table)
        return DONE
    from schemas.prompt import Prompt
    from stages.prompts.files import read_prompts
    from stages.world.coverage import coverage_of

    rows = read_prompts(config.prompts, config.column)
    coverage = coverage_of((row.text for row in rows if isinstance(row, Prompt)), at_most=1_000_000)
    print(*(coverage.sentences() or [f"the embedded world can read all {coverage.looked_at} prompts"]), sep="\n")
    report(config, {"prompts": coverage.looked_at, "readable": coverage.readable, "examples": coverage.examples})
    return DONE


COMMANDS = (train, words)

if __name__ == "__main__":
    run_command(*COMMANDS)
