#!/usr/bin/env python
"""Train PerspectiveVision's three methods on a run's shards, or the small vision-language model itself.

    jobs/perspective.py tune runs/mine --method linear_probe         → runs/mine/models/linear_probe
    jobs/perspective.py tune runs/mine --method linear_probe --words 256    what a CLIP as small as the embedded one needs
    jobs/perspective.py tune runs/mine --method prompt_learning
    jobs/perspective.py tune runs/mine --method vision_language      LoRA on assets/world/vlm
    jobs/perspective.py tune runs/mine --method vision_language --base DIR      on any LLaVA of transformers
    jobs/perspective.py pretrain --samples 17600                     makes assets/world/vlm from lessons about the world

The same command goes on where a killed one stopped (vision_language, pretrain). Exit 0 done, 2 bad use or input.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # same bytes on a busy machine as on an idle one

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import torch

from classifiers.data.labelled_pictures import Pictures
from classifiers.families.perspective import PerCategory
from classifiers.layers.encoder import Encoder
from classifiers.models.linear_probe import LinearProbe
from classifiers.models.vision_language import VisionLanguage
from classifiers.perspective import fit_probes, lora
from classifiers.perspective.pretraining.pretrain import Order, pretrain
from classifiers.perspective.threshold import best_threshold
from classifiers.saved import kind_of
from classifiers.vlm.llava import Llava
from jobs.command import DONE, positive, resolve_out, run_command
from pipeline.rounds.existing_run import existing_run
from pipeline.rounds.ledger import recorded, root_digest
from pipeline.storage.store import OBJECT_SCHEMES
from pipeline.storage.weights import base_folder, model_directory
from schemas.errors import InputError
from schemas.taxonomy import UNSAFEBENCH

METHODS = ("linear_probe", "prompt_learning", "vision_language")
CLIP, BASE = "assets/world/clip", "assets/world/vlm"
VALIDATED = 1000  # pictures of val at most, by which vision_language sets its threshold


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    tune = commands.add_parser("tune", help="train one method on a run's shards").add_argument
    tune("run", metavar="RUN", help="a run's folder, with labels and shards")
    tune("--method", required=True, choices=METHODS)
    tune("--out", type=Path, help="the classifier's folder (default: RUN/models/METHOD)")
    tune("--clip", default=CLIP, metavar="DIR_OR_ID", help="of the two baselines (default: %(default)s)")
    tune("--base", default=BASE, metavar="DIR", help="of vision_language: a LLaVA (default: %(default)s)")
    tune("--without", default="", metavar="A,B", help="generators whose pictures are held out")
    tune(
        "--words",
        type=positive,
        default=0,
        metavar="N",
        help="linear_probe: read N visual words (fit_probes.WITH_WORDS)",
    )
    tune("--at-most", type=positive, metavar="N", help="pictures to train on")
    tune("--epochs", type=float, help="default: 30, 80 and 1, the paper's")
    tune("--rate", type=float, help="default: 2e-4, the paper's; for assets/world/vlm more")
    tune("--seed", type=int, default=0)
    tune("--json", action="store_true", help="print one summary object as the last line")
    first = commands.add_parser("pretrain", help="make the small LLaVA").add_argument
    first("--clip", default=CLIP, metavar="DIR")
    first("--out", type=Path, default=Path(BASE))
    first("--work", type=Path, default=Path("runs/perspective"), help="checkpoints and the curve")
    first("--samples", type=positive, default=32_000, help="scenes to describe (default: %(default)s)")
    first("--warm", type=Path, metavar="DIR", help="an earlier model to go on from, whatever its CLIP")
    first("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> int:
    """Dispatch."""
    given = parse()
    if given.command == "pretrain":
        clip = model_directory(given.clip)
        pretrain(Order(clip, given.out, given.work, given.samples, given.seed, given.warm))
        print(f"a LLaVA at {given.out}")
        return DONE
    started = time.monotonic()
    store, _ = existing_run(resolve_out(given.run))
    if store.url.startswith(OBJECT_SCHEMES):
        raise InputError(f"{store.url}: models are written to a folder; copy the shards to a disk first")
    pictures = Pictures.of(store, "train", without=held_out(given), at_most=given.at_most)
    folder = given.out or Path(store.url) / "models" / given.method
    inside = Path(folder).absolute().is_relative_to(store.url)
    owned = [f"{Path(folder).absolute().relative_to(store.url).as_posix()}/"] if inside else []
    with recorded(store, *owned, by="jobs/perspective.py"):
        made = (
            tune_model(given, pictures, folder) if given.method == "vision_language" else fit(given, pictures, folder)
        )
        seconds = round(time.monotonic() - started, 1)
        summary = {"model": str(folder), "pictures": len(pictures), **made, "seconds": seconds}
        (folder / "metrics.json").write_text(json.dumps(summary, indent=1) + "\n")
    print(f"{given.method} at {folder}, trained on {len(pictures)} pictures, loss {made['loss']:.3f}")
    print(f"root {root_digest(store)}")
    if given.json:
        print(json.dumps(summary))
    return DONE


def held_out(given: argparse.Namespace) -> tuple[str, ...]:
    """Generators whose pictures are left out."""
    return tuple(name for name in given.without.split(",") if name)


def fit(given: argparse.Namespace, pictures: Pictures, folder: Path) -> dict[str, float]:
    """Linear probes or soft prompts."""
    torch.manual_seed(given.seed)
    kind = kind_of(given.method)
    assert issubclass(kind, PerCategory)
    if given.words and not issubclass(kind, LinearProbe):
        raise InputError(f"--words is linear_probe's; {given.method} compares prompts with the picture's one vector")
    reads = {"words": given.words} if given.words else {}
    model = kind(Encoder.from_directory(model_directory(given.clip)), UNSAFEBENCH.ids, folder.name, **reads).eval()
    model.origin = given.clip if Path(given.clip).is_dir() else None  # a hub's model is saved with the probes
    recipe = replace(fit_probes.WITH_WORDS if given.words else fit_probes.RECIPES[given.method], seed=given.seed)
    recipe = recipe if given.epochs is None else replace(recipe, epochs=max(1, round(given.epochs)))
    losses = fit_probes.fit(model, pictures, recipe if given.rate is None else replace(recipe, rate=given.rate))
    model.save(folder)
    return {"first_loss": round(losses[0], 4), "loss": round(losses[-1], 4), "epochs": len(losses)}


def tune_model(given: argparse.Namespace, pictures: Pictures, folder: Path) -> dict[str, float]:
    """LoRA on a LLaVA, then its threshold. The embedded one knows no policy texts, so that it is asked by the categories' names."""
    base = base_folder(given.base)
    small = base.resolve() == base_folder(BASE).resolve()
    recipe = replace(lora.SMALL if small else lora.Recipe(), seed=given.seed)
    recipe = recipe if given.epochs is None else replace(recipe, epochs=given.epochs)
    recipe = recipe if given.rate is None else replace(recipe, rate=given.rate)
    validation = Pictures.of(pictures.store, "val", without=held_out(given), at_most=VALIDATED)
    judge = VisionLanguage(Llava.from_directory(base), UNSAFEBENCH, folder.name, policies=not small)
    tuning = lora.Tuning(judge, pictures, recipe, folder / "work")
    loss = float("nan")
    for step, loss in tuning.run():
        print(f"  step {step} of {tuning.steps}: loss {loss:.3f}", flush=True)
    judge.threshold = best_threshold(judge, validation)
    tuning.store(folder, given.base)
    return {
        "instructions": len(tuning.examples),
        "steps": tuning.steps,
        "loss": round(loss, 4),
        "threshold": round(judge.threshold, 4),
    }


if __name__ == "__main__":
    run_command(main)
