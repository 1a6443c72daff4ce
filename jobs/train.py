#!/usr/bin/env python
"""Train a baseline on a run's shards: RUN/models/NAME/{model.safetensors,config.json,metrics.json}.

    jobs/train.py runs/mine --classifier late_fusion
    jobs/train.py runs/mine --classifier image --clip DIR --epochs 40

Exit 0 done, 2 bad use or input.
"""

import argparse
import json
import time
from importlib import import_module
from pathlib import Path

import torch

from classifiers.baseline import Baseline
from classifiers.encoder import Encoder
from jobs.command import DONE, resolve_out, run_command
from jobs.fitting import choose_threshold, features_of, fit, losses_text, measures
from jobs.generate import positive
from jobs.training_rows import ShardRows
from pipeline.catalogue.runs import existing_run
from pipeline.store import OBJECT_SCHEMES, Store
from schemas.errors import InputError
from schemas.taxonomy import UNSAFEBENCH
from stages.weights import model_directory

CLASSIFIERS = ("text", "image", "late_fusion")
CLIP = "assets/world/clip"


def main() -> int:
    """Encode, fit, choose the threshold on val, measure on test, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("run", metavar="RUN", help="a run's folder")
    add("--classifier", required=True, choices=CLASSIFIERS)
    add("--clip", default=CLIP, metavar="DIR_OR_ID", help="any CLIP of transformers (default: %(default)s)")
    add("--epochs", type=positive, default=30)
    add("--seed", type=int, default=0)
    add("--json", action="store_true", help="print one summary object as the last line")
    given = parser.parse_args()
    store, _ = existing_run(resolve_out(given.run))
    if store.url.startswith(OBJECT_SCHEMES):
        raise InputError(f"{store.url}: models are written to a folder; copy the shards to a disk first")
    started = time.monotonic()
    torch.manual_seed(given.seed)
    model = build(given.classifier, model_directory(given.clip))
    summary = train(model, store, given.epochs, given.seed)
    folder = Path(store.url) / "models" / given.classifier
    model.save(folder)
    summary |= {"model": str(folder), "seconds": round(time.monotonic() - started, 2)}
    (folder / "metrics.json").write_text(json.dumps(summary, indent=1))
    print(f"{given.classifier} at {folder}: loss {summary['loss']}, threshold {model.threshold}")
    for split in ("train", "val", "test"):
        print(f"  {split:<6}{summary[split]}")
    if given.json:
        print(json.dumps(summary))
    return DONE


def build(kind: str, clip: Path) -> Baseline:
    """An untrained classifier on a CLIP, for all categories of the taxonomy."""
    module = import_module(f"classifiers.{kind}")
    found = next(v for v in vars(module).values() if isinstance(v, type) and getattr(v, "kind", None) == kind)
    model: Baseline = found(Encoder.from_directory(clip), UNSAFEBENCH.ids, kind)
    return model.eval()


def train(model: Baseline, store: Store, epochs: int, seed: int) -> dict[str, object]:
    """Fit on train, set the threshold on val, measure on all three."""
    splits = {split: features_of(model, ShardRows(store, split, model.scope)) for split in ("train", "val", "test")}
    losses = fit(model, splits["train"], epochs, seed)
    model.threshold = choose_threshold(model, splits["val"])
    measured = {split: measures(model, rows) for split, rows in splits.items()}
    return {"loss": losses_text(losses), "threshold": model.threshold, "epochs": epochs, **measured}


if __name__ == "__main__":
    run_command(main)
