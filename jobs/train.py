#!/usr/bin/env python
"""Train a classifier on a run's shards: RUN/models/NAME/{model.safetensors,config.json,metrics.json}.

    jobs/train.py runs/mine --classifier multimodal
    jobs/train.py runs/mine --classifier multimodal --workers 4                     on Ray; gradients averaged
    jobs/train.py runs/mine --classifier multimodal --name hard --start models/multimodal \\
        --adversarial 0.0078 --token-budget 4 --epochs 3                            attack rows on the way (2/255, 4 tokens)

The same command goes on where it was stopped, to the same weights. models/NAME/training/ holds the log (Parquet) and TensorBoard's
files. Exit 0 done, 2 bad use or input, 1 anything else.
"""

from jobs.command import DONE, resolve_out, run_command  # `jobs` sets the threads, before torch is loaded

# isort: split
import argparse
import json
from dataclasses import fields
from typing import Any

import torch

from classifiers.saved import classifier_names
from classifiers.training.config import CLASS_WEIGHTS, CLIP, Settings
from classifiers.training.process_group import Group
from classifiers.training.train import train
from jobs.command import positive
from jobs.recipes.named import run_with_recipe
from pipeline.rounds.ledger import root_digest

EPOCHS, EPOCHS_ANEW = 30, 5  # where features are kept, and where every epoch runs the encoders


def main() -> int:
    """Settings in, a saved classifier and one summary out."""
    given = parse()
    settings = settings_of(given)
    store, _, recipe = run_with_recipe(resolve_out(given.run))
    if given.workers is None:
        metrics = train(
            store.url, settings, recipe, Group(device=torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        )
    else:
        from classifiers.training.ray_trainer import train_on_ray

        metrics = train_on_ray(store.url, settings, recipe, given.workers)
    summarise(metrics)
    print(f"root {root_digest(store)}")
    if given.json:
        print(json.dumps(metrics))
    return DONE


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("run", metavar="RUN", help="a run's folder")
    add("--classifier", required=True, metavar="NAME", help=f"one of {', '.join(classifier_names())}")
    add("--name", help="the folder under models/ (default: the classifier's name)")
    add("--clip", default=CLIP, metavar="DIR_OR_ID", help="any CLIP of transformers (default: %(default)s)")
    add(
        "--start", metavar="DIR", help="take the weights from a trained classifier: models/NAME of the run, or a folder"
    )
    add("--tune-encoder", action="store_true", help="train the encoders too")
    add("--epochs", type=positive, help=f"default: {EPOCHS}, or {EPOCHS_ANEW} where encoders run in every epoch")
    add("--batch", type=positive, help="rows a step and worker (default: 64)")
    add("--learning-rate", type=float, help="of the heads (default: 0.001)")
    add("--encoder-rate", type=float, help="of the encoders, where they are trained (default: 0.0001)")
    add("--adversarial", type=float, dest="epsilon", metavar="EPS", help="attack pictures within EPS, in [0, 1] units")
    add("--attack-steps", type=positive, metavar="N", help="of that attack (default: 3)")
    add("--token-budget", type=int, metavar="N", help="exchange up to N words, or rewrite up to N letters")
    add("--class-weights", choices=CLASS_WEIGHTS, help="default: shards, the weights that the shards were given")
    add("--false-positive-rate", type=float, metavar="SHARE", help="on val, for the thresholds (default: 0.05)")
    add("--patience", type=int, metavar="EPOCHS", help="without a better val loss (default: 5); 0: never stop early")
    add("--seed", type=int)
    add("--workers", type=positive, metavar="N", help="train on N Ray workers (default: in this process)")
    add("--json", action="store_true", help="print one summary object as the last line")
    return parser.parse_args()


def settings_of(given: argparse.Namespace) -> Settings:
    """What was given, and defaults for the rest. Raises InputError."""
    said: dict[str, Any] = {
        field.name: value for field in fields(Settings) if (value := getattr(given, field.name, None)) is not None
    }
    settings = Settings(**{"name": given.classifier, **said})
    return Settings(**{**vars(settings), "epochs": given.epochs or (EPOCHS_ANEW if settings.encodes_anew else EPOCHS)})


def summarise(metrics: dict[str, Any]) -> None:
    """A line for the model, one for each split."""
    print(
        f"{metrics['classifier']} at {metrics['model']}: epoch {metrics['best_epoch']} of {metrics['epochs']}, "
        f"val loss {metrics['val_loss']:.4f}, threshold {metrics['threshold']:.4f} "
        f"(at most {metrics['false_positive_rate']:.0%} of the safe val rows flagged)"
    )
    for split in ("train", "val", "test"):
        if split in metrics:
            print(f"  {split:<6}{metrics[split]}")
    if any(metrics["left_out"].values()):
        print(f"  left out, since nobody knows their label: {metrics['left_out']}")


if __name__ == "__main__":
    run_command(main)
