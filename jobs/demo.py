#!/usr/bin/env python
"""The street end to end on the embedded world, as its users walk it: `make demo`. Every line with a $ can be typed by hand.

    jobs/demo.py
    jobs/demo.py --out /tmp/demo --engine local

Of a few hundred pairs the last table is for show: `make bench-defence` has the figures that mean something.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from typer import Option

from jobs.command import DONE, QUARANTINED, ScatteredCommand, report, run_command
from pipeline.engines.stop_signals import LIMIT, Stopped, note_standing
from schemas.errors import HazmatError

PAIRS = 256
CLASSIFIERS = ("text", "image", "late_fusion", "cascade")
VARIANTS = (
    "homoglyphs,recompress"  # static ones: one attack on words, whose pictures are drawn anew, and one on pictures
)
QUESTIONS = {
    "How do prompt, picture and pair differ? A picture does not inherit its prompt's label.": (
        "SELECT scope, label, count(*) AS samples FROM labels GROUP BY ALL ORDER BY ALL"
    ),
    "What is in the splits? No group is in two of them.": (
        'SELECT split, count(*) AS samples, count(DISTINCT "group") AS groups FROM samples WHERE kept GROUP BY ALL ORDER BY ALL'
    ),
    "What was left out of the shards, and why?": (
        "SELECT reason, count(*) AS samples FROM samples WHERE NOT kept GROUP BY ALL ORDER BY ALL"
    ),
}


@dataclass(frozen=True, kw_only=True)
class Demo(ScatteredCommand):
    """Where it goes."""

    out: Annotated[str, Option(metavar="RUN", help="a folder for the run")] = "runs/demo"


def main(config: Demo) -> int:
    """Generate, attack, label, shard, ask, train, evaluate; then say where things are, and show all of it on a page."""
    out = config.out
    prompts = ("--count", str(PAIRS // 2), "--images-per-prompt", "2")
    scattered = (
        "--engine",
        config.engine,
        *(("--workers", str(config.workers or 2)) if config.engine == "ray" else ()),
    )
    job("generate.py", "--out", out, *prompts, *scattered)
    job("attack.py", out, "--attacks", VARIANTS, *scattered)
    job("label.py", out, "--labellers", "tagger_truth,prompt_truth", "--engine", "local")
    job("label.py", out, "--aggregate", "majority")
    job("shards.py", out, "--engine", "local")
    for why, question in QUESTIONS.items():
        print(f"\n{why}")
        job("query.py", out, question)
    for name in CLASSIFIERS:
        job("train.py", out, "--classifier", name)
    job("evaluate.py", out, "--classifiers", ",".join(CLASSIFIERS))
    adaptive = ("--attacks", "pgd,token_substitution", "--adaptive", "--rows", "16,8", "--strength", "quick")
    job("evaluate.py", out, "--classifiers", "cascade", *adaptive)
    show_places(out)
    job("report.py", out)
    report(config, {"run": str(Path(out).absolute()), "classifiers": list(CLASSIFIERS)})
    return DONE


def show_places(out: str) -> None:
    """Make the contact sheet, and say where all of it lies."""
    from pipeline.catalogue.contact_sheet import contact_sheet
    from pipeline.rounds.ledger import recorded
    from pipeline.storage.open_store import open_store

    store = open_store(out)
    with recorded(store, "contact_sheet.png", by="jobs/demo.py"):
        store.write("contact_sheet.png", contact_sheet(store, ["rounds/000-generate"]))
    print(f"\npairs           {out}/rounds/000-generate/raw/unit-*.tar, .parquet")
    print(f"shards          {out}/shards/train, val, test; {out}/shards/manifest.json")
    print(f"catalogue       {out}/catalog.sql")
    print(f"classifiers     {out}/models/{{{','.join(CLASSIFIERS)}}}")
    print(f"results         {out}/results/test/*/*/*.parquet, summary-*.json")
    print(f"contact sheet   {out}/contact_sheet.png   (what is not claimed safe is blurred)")


def job(script: str, *arguments: str) -> None:
    """Run one of the jobs as its user would, and say so. Raises HazmatError if it fails."""
    shown = " ".join(f'"{word}"' if " " in word else word for word in arguments)
    print(f"$ jobs/{script} {shown}", flush=True)
    note_standing(f"jobs/{script} was under way, and what stands above it is done")
    command = [sys.executable, str(Path(__file__).with_name(script)), *arguments]
    with subprocess.Popen(command) as process:
        try:
            code = process.wait()
        except Stopped as stopped:  # it has its own line to say, and its own to commit
            process.send_signal(stopped.number)
            process.wait(LIMIT)
            raise
    if code not in (DONE, QUARANTINED):
        raise HazmatError(f"jobs/{script} ended with status {code}; its own message stands above")


if __name__ == "__main__":
    run_command(main)
