"""The shipped weights of the defence made anew: baselines on a run's rows, reader and guards on scenes and prompts of their own."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.defence.data import job
from bench.defence.figures import BASELINES, HARDENED, PLAIN
from classifiers.saved import load
from classifiers.training.config import CLIP
from schemas.errors import HazmatError

PLAIN_EPOCHS = ("--start", "scratch", "--epochs", "12")  # over kept features; more brought little
SAMPLES = "247000"  # scenes of the reader: an hour of a core


def train(out: Path) -> None:
    """All five into OUT/models. Baselines and cascade two at a time, since each keeps one core busy."""
    with ThreadPoolExecutor(2) as pool:
        names = (PLAIN, *BASELINES)
        list(pool.map(lambda name: job("train.py", str(out), "--classifier", name, *PLAIN_EPOCHS), names))
    work, reader = out / "work", out / "models" / "reader"
    step("concept_reader.generated", str(work / "generated.npz"))
    step("concept_reader", "--work", str(work), "--samples", SAMPLES, "--generated", str(work / "generated.npz"))
    step("concept_reader.store", "--work", str(work), "--out", str(reader))
    step("guards", "--reader", str(reader), "--out", str(out / "models" / HARDENED))


def step(module: str, *arguments: str) -> None:
    """One of the trainings as its user would call it. Raises HazmatError if it fails."""
    command = [sys.executable, "-m", f"classifiers.training.{module}", *arguments]
    print("$ " + " ".join(command[1:]), file=sys.stderr, flush=True)
    if status := subprocess.run(command, check=False).returncode:
        raise HazmatError(f"{module} ended with status {status}; its own message stands above")


def ship(out: Path, shelf: Path) -> None:
    """The baselines of OUT/models as they are committed: heads alone, around the embedded CLIP. Guards are whole as they are."""
    for name in (PLAIN, *BASELINES):
        load(out / "models" / name).save_heads(shelf / name, CLIP)


if __name__ == "__main__":
    ship(Path(sys.argv[1]), Path(sys.argv[2]))
