"""From prompts of your own to a dataset: a table of prompts becomes pictures, votes, labels and shards that any loader opens.

    python examples/own_prompts.py runs/own           or with a table of yours: … runs/own prompts.csv

A table has a column `prompt`; other columns that Hazmat knows (`category`, `label`, `language`, `source`, `licence`) are kept.
"""

import csv
import subprocess
import sys
from collections import Counter
from pathlib import Path

import webdataset

JOBS = Path(__file__).resolve().parents[1] / "jobs"
THINGS = ("red apple", "dagger", "dog", "bomb", "house", "pistol", "key", "skull")


def table(path: Path) -> Path:
    """Eight prompts on two backgrounds; a list that you have already looks like this."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("prompt", "source"))
        rows.writerows(
            (f"a {thing} on a {colour} background", "mine") for thing in THINGS for colour in ("blue", "black")
        )
    return path


def main(out: Path, prompts: Path | None = None) -> None:
    """The commands, as you would type them; asked again, each goes on where it stopped."""
    out.mkdir(parents=True, exist_ok=True)
    prompts = prompts or table(out.parent / f"{out.name}-prompts.csv")
    for name, *arguments in (
        ("generate", "--out", out, "--prompts", prompts, "--images-per-prompt", "2", "--engine", "local"),
        ("label", out, "--labellers", "tagger_truth,prompt_truth", "--engine", "local"),
        ("label", out, "--aggregate", "majority"),
        ("shards", out, "--engine", "local"),
        ("verify", out),
    ):
        subprocess.run([sys.executable, JOBS / f"{name}.py", *map(str, arguments)], check=True)
    for split in ("train", "val", "test"):
        tars = sorted(map(str, out.glob(f"shards/{split}/*.tar")))
        labels = Counter(row["json"]["pair_label"] for row in webdataset.WebDataset(tars, shardshuffle=False).decode())
        print(f"{split}: {dict(labels)}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:] or ["runs/own"]))
