#!/usr/bin/env python3
"""Measure the trainer: rows a second beside a bare PyTorch loop over the same rows in memory, and two workers beside one.

    python -m bench.training [--rows 1024] [--skip-workers]

Its own small run is made on the way. Processor seconds count, not the clock's, since the machine has other work; the wall's are
reported beside. One JSON object on the last line and in bench/results/training.json.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import torch

from bench.report import report
from classifiers.classifier import Classifier
from classifiers.data.labelled_shards import LabelledShards
from classifiers.saved import build
from classifiers.training.batches import BatchSource, Streamed, TrainingBatch
from classifiers.training.classifier_training import ClassifierTraining, optimiser_of
from classifiers.training.config import CLIP, Settings
from classifiers.training.dataset_check import survey
from classifiers.training.encoder_tuning import encoders_of
from classifiers.training.feature_cache import encoded
from pipeline.storage.open_store import open_store
from pipeline.storage.store import Store
from pipeline.storage.weights import model_directory
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.process_group import ProcessGroup

KINDS = ("late_fusion", "multimodal")
REPEATS = 3
PAIRS_A_ROW = 1.4  # pairs to generate for one training row: a tenth each goes to val and test, and some is held out


def main() -> None:
    """Both ways to train, both kinds, then two workers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1024)
    parser.add_argument("--skip-workers", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="hazmat-bench-training-") as folder:
        url = make_run(Path(folder) / "run", round(args.rows * PAIRS_A_ROW))
        figures: dict[str, object] = {"rows": args.rows, "repeats": REPEATS}
        for kind in KINDS:
            for way, epochs in (("streamed", 1), ("encoded", 30)):
                rates = throughput(open_store(url), kind, way, epochs)
                figures |= {f"{kind}_{way}_{name}": value for name, value in rates.items()}
                print(kind, way, rates, flush=True)
        if not args.skip_workers:
            figures |= workers(url)
    report("training", figures)


def make_run(out: Path, pairs: int) -> str:
    """Scenes drawn without a model, labelled by the world's truth, in shards."""
    for script, *arguments in (
        ("generate.py", "--out", str(out), "--recipe", "render", "--count", str(pairs), "--engine", "local"),
        ("label.py", str(out), "--labellers", "scene_truth,prompt_truth", "--engine", "local"),
        ("label.py", str(out), "--aggregate", "majority"),
        ("shards.py", str(out), "--engine", "local"),
    ):
        subprocess.run([sys.executable, f"jobs/{script}", *arguments], check=True, stdout=subprocess.DEVNULL)
    return str(out)


def throughput(store: Store, kind: str, way: str, epochs: int) -> dict[str, float]:
    """Rows a second of processor time, ours and bare, and ours over bare; the median of `REPEATS` rounds taken in turn."""
    settings = Settings(
        classifier=kind, name=f"{kind}-{way}", epochs=epochs, patience=0, tune_encoder=way == "streamed"
    )
    torch.manual_seed(0)
    model = build(kind, model_directory(CLIP))
    for encoder in encoders_of(model):
        encoder.requires_grad_(settings.tune_encoder)
    seen = survey(store, "train", model.coverage)
    rows: BatchSource = Streamed(LabelledShards(store, "train", model.coverage.scopes), model.coverage, seen)
    if way == "encoded":
        rows = encoded(model, rows, ProcessGroup(), even=True)  # type: ignore[arg-type]
    in_memory = [part for step in rows.epoch(0, 0, settings.batch, ProcessGroup()) for part in step]
    ours, bare = [], []
    for _ in range(REPEATS):
        bare.append(clocked(lambda: bare_loop(model, in_memory, settings)))
        ours.append(clocked(lambda: our_loop(store, model, rows, settings)))
    count = len(rows) * epochs
    speeds = {name: count / median(each[0] for each in times) for name, times in (("ours", ours), ("bare", bare))}
    return {
        "rows_per_cpu_second": round(speeds["ours"], 1),
        "bare_rows_per_cpu_second": round(speeds["bare"], 1),
        "share_of_bare": round(median(b[0] / o[0] for o, b in zip(ours, bare, strict=True)), 4),
        "wall_share_of_bare": round(median(b[1] / o[1] for o, b in zip(ours, bare, strict=True)), 4),
    }


def clocked(run: Callable[[], None]) -> tuple[float, float]:
    """Processor seconds and seconds."""
    processor, wall = time.process_time(), time.monotonic()
    run()
    return time.process_time() - processor, time.monotonic() - wall


def bare_loop(model: Classifier, batches: list[TrainingBatch], settings: Settings) -> None:
    """What one would write by hand: the same model, loss, optimiser and batches, and nothing else."""
    optimiser = optimiser_of(model, settings)
    trained = [p for p in model.parameters() if p.requires_grad]
    model.train()
    for _ in range(settings.epochs):
        for batch in batches:
            loss = batch.losses(model)["loss"]
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimiser.step()


def our_loop(store: Store, model: Classifier, rows: BatchSource, settings: Settings) -> None:
    """The trainer's, streaming, logging and all, but the validation, which the bare loop does not have either."""
    folder = f"models/{settings.name}/training"
    fit = _WithoutVal(
        settings, ProcessGroup(), rows, rows, Checkpoint(store, f"{folder}/checkpoint.safetensors", "bench"), folder
    )
    fit.checkpoint.remove()
    model.train()
    fit.run(model)


@dataclass(frozen=True, eq=False)
class _WithoutVal(ClassifierTraining):
    def validate(self, model: Classifier) -> dict[str, float]:
        """Nothing."""
        return {"loss": 0.0}


def workers(url: str) -> dict[str, Any]:
    """Validation losses by epoch of one worker with double the batch, of two, and of one with another seed: the noise."""
    curves = {}
    ways = {
        "one": ("--batch", "64"),
        "noise": ("--batch", "64", "--seed", "1"),
        "two": ("--batch", "32", "--training-workers", "2"),
    }
    for name, more in ways.items():
        arguments = (
            url,
            "--classifier",
            "late_fusion",
            "--epochs",
            "10",
            "--patience",
            "0",
            "--name",
            f"by-{name}",
            *more,
        )
        subprocess.run([sys.executable, "jobs/train.py", *arguments], check=True, stdout=subprocess.DEVNULL)
        log = f"'{url}/models/by-{name}/training/log.parquet'"
        losses = duckdb.sql(f"SELECT loss FROM {log} WHERE split = 'val' ORDER BY epoch").fetchall()
        curves[name] = [round(row[0], 4) for row in losses]
    return {
        **{f"val_loss_{name}": curve for name, curve in curves.items()},
        "two_workers_largest_difference": largest(curves["one"], curves["two"]),
        "other_seed_largest_difference": largest(curves["one"], curves["noise"]),
    }


def largest(one: list[float], other: list[float]) -> float:
    """Of the differences, as a share of the first."""
    return round(max(abs(a - b) / a for a, b in zip(one, other, strict=True)), 4)


if __name__ == "__main__":
    main()
