#!/usr/bin/env python
"""The street end to end on the embedded world, as its users walk it: `make demo`. Every line with a $ can be typed by hand.

Of a few hundred pairs the last table is for show: `make bench-defence` has the figures that mean something.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from jobs.command import DONE, QUARANTINED, run_command
from pipeline.catalogue.contact_sheet import contact_sheet
from pipeline.rounds.ledger import recorded
from pipeline.storage.open_store import open_store
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


def main() -> int:
    """Generate, attack, label, shard, ask, train, evaluate; then say where things are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="runs/demo")
    out = parser.parse_args().out
    prompts = ("--count", str(PAIRS // 2), "--images-per-prompt", "2")
    job("generate.py", "--out", out, *prompts, "--engine", "ray", "--workers", "2")
    job("attack.py", out, "--attacks", VARIANTS, "--engine", "ray", "--workers", "2")
    job("label.py", out, "--labellers", "tagger_truth,prompt_truth", "--engine", "local")
    job("label.py", out, "--aggregate", "majority")
    job("shards.py", out, "--engine", "local")
    for why, question in QUESTIONS.items():
        print(f"\n{why}")
        job("query.py", out, question)
    for name in CLASSIFIERS:
        job("train.py", out, "--classifier", name)
    job("evaluate.py", out, "--classifiers", ",".join(CLASSIFIERS))
    job(
        "evaluate.py",
        out,
        "--classifiers",
        "cascade",
        "--attacks",
        "pgd,token_substitution",
        "--adaptive",
        "--rows",
        "16,8",
    )
    store = open_store(out)
    with recorded(store, "contact_sheet.png", by="jobs/demo.py"):
        store.write("contact_sheet.png", contact_sheet(store, ["rounds/000-generate"]))
    print(f"\npairs           {out}/rounds/000-generate/raw/unit-*.tar, .parquet")
    print(f"shards          {out}/shards/train, val, test; {out}/shards/manifest.json")
    print(f"catalogue       {out}/catalog.sql")
    print(f"classifiers     {out}/models/{{{','.join(CLASSIFIERS)}}}")
    print(f"results         {out}/results/test/*/*/*.parquet, summary-*.json")
    print(f"contact sheet   {out}/contact_sheet.png   (what is not claimed safe is blurred)")
    return DONE


def job(script: str, *arguments: str) -> None:
    """Run one of the jobs as its user would, and say so. Raises HazmatError if it fails."""
    shown = " ".join(f'"{word}"' if " " in word else word for word in arguments)
    print(f"$ jobs/{script} {shown}", flush=True)
    command = [sys.executable, str(Path(__file__).with_name(script)), *arguments]
    code = subprocess.run(command, check=False).returncode
    if code not in (DONE, QUARANTINED):
        raise HazmatError(f"jobs/{script} ended with status {code}; its own message stands above")


if __name__ == "__main__":
    run_command(main)
