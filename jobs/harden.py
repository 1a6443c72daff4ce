#!/usr/bin/env python
"""Harden a classifier: attack it as it is now, add the variants to the run, label and shard them, train again; R rounds.

    jobs/harden.py runs/mine --classifier cascade --name hardened
    jobs/harden.py runs/mine --classifier multimodal --name hardened --rounds 3 --samples 2000 --adversarial 0.0157

Each round starts from the weights of the one before. Beside the stored variants rows are attacked on the way. The test split is
never attacked, nor is trained on what the shards hold out. models/NAME-1, NAME-2, … are the rounds, models/NAME is the last.

The same command goes on where it was stopped. Exit 0 done, 2 bad use or input, 1 anything else.
"""

from jobs.command import DONE, resolve_out, run_command  # `jobs` sets the threads, before torch is loaded

# isort: split
import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from classifiers.saved import Saved, classifier_names, kind_of
from classifiers.training.adversarial_rounds import AdversarialDataConfig, add_variants
from classifiers.training.config import CLIP, Settings
from classifiers.training.process_group import Group
from classifiers.training.train import train
from jobs.command import positive
from jobs.recipes.named import run_with_recipe
from pipeline.engines.engine import EngineOptions
from pipeline.recipe import Recipe, Without
from pipeline.rounds.existing_run import existing_run
from pipeline.rounds.ledger import recorded, root_digest
from pipeline.storage.store import Store
from schemas.errors import InputError

ATTACKS = {"image": "pgd", "prompt": "token_substitution,homoglyphs,typos"}
"""By what the classifier reads, one each of: gradients on pixels, on words, signs for letters, slips. All of them search."""


def main() -> int:
    """Train it plainly if it is not there, then the rounds."""
    given = parse()
    store, _, recipe = run_with_recipe(resolve_out(given.run))
    started = time.monotonic()
    adding = AdversarialDataConfig(
        attacks=given.attacks or attacks_on(given.classifier), samples=given.samples, epsilon=given.adversarial, aim=given.aim,
        labellers=given.labellers or judges_of(recipe), means=EngineOptions(given.engine, given.attack_workers),
    )  # fmt: skip
    settings = Settings(
        classifier=given.classifier, name=given.name, clip=given.clip, epochs=given.epochs, seed=given.seed,
        epsilon=given.adversarial, attack_steps=given.attack_steps, token_budget=given.token_budget,
        tune_encoder=given.tune_encoder, encoder_rate=given.encoder_rate, false_positive_rate=given.false_positive_rate,
    )  # fmt: skip
    first = Settings(classifier=given.classifier, name=given.classifier, clip=given.clip, seed=given.seed)
    if not (Path(store.url) / "models" / given.classifier / "metrics.json").is_file():
        fitted(store.url, replace(first, false_positive_rate=given.false_positive_rate), recipe, given.workers)
    rounds = harden(store, recipe, settings, adding, rounds=given.rounds, workers=given.workers)
    for number, done in enumerate(rounds, 1):
        print(f"round {number}: {sum(done['variants'].values())} variants, {done['model']}, test {done['test']}")
    print(f"root {root_digest(store)}")
    if given.json:
        summary = {"run": store.url, "model": rounds[-1]["model"], "rounds": rounds}
        print(json.dumps({**summary, "seconds": round(time.monotonic() - started, 2)}))
    return DONE


def judges_of(recipe: Recipe) -> str:
    """The labellers of what is added. Raises InputError where the recipe trusts none."""
    if isinstance(recipe.judges, Without):
        raise InputError(f"--labellers is needed, since the run's recipe is {recipe.name}, and {recipe.judges.why}")
    return ",".join(recipe.judges)


def attacks_on(classifier: str) -> str:
    """What it is attacked with unless something else is asked for. Raises InputError where there is no such classifier."""
    reads = kind_of(classifier).reads
    return ",".join(names for what, names in ATTACKS.items() if what in reads)


def harden(
    store: Store,
    recipe: Recipe,
    settings: Settings,
    adding: AdversarialDataConfig,
    *,
    rounds: int,
    workers: int | None = None,
) -> list[dict[str, Any]]:
    """All rounds; what each did. A round that is done is known by `models/NAME/hardening.json`, and not done again."""
    current, done = f"models/{settings.classifier}", []
    for number in range(1, rounds + 1):
        name = settings.name if number == rounds else f"{settings.name}-{number}"
        target = Saved(str(Path(store.url) / current))
        asked = {"settings": settings.fingerprint(), "adding": repr(adding), "against": target.digest()}
        found = _done(store, name, asked)
        if found is None:
            variants = add_variants(store, existing_run(store.url)[1], recipe, target, adding)
            metrics = fitted(store.url, replace(settings, name=name, start=current), recipe, workers)
            found = {
                **asked,
                "variants": variants,
                "model": metrics["model"],
                "val": metrics["val"],
                "test": metrics["test"],
            }
            with recorded(store, f"models/{name}/hardening.json", by="jobs/harden.py"):
                store.write(f"models/{name}/hardening.json", json.dumps(found, indent=1).encode())
        done.append(found)
        current = f"models/{name}"
    return done


def fitted(url: str, settings: Settings, recipe: Recipe, workers: int | None) -> dict[str, Any]:
    """Train in this process, or on Ray's workers."""
    if workers is None:
        return train(url, settings, recipe, Group(device=torch.device("cuda" if torch.cuda.is_available() else "cpu")))
    from classifiers.training.ray_trainer import train_on_ray

    return train_on_ray(url, settings, recipe, workers)


def _done(store: Store, name: str, asked: dict[str, str]) -> dict[str, Any] | None:
    """What this very round did, if it is done and its classifier is still there."""
    try:
        found: dict[str, Any] = json.loads(store.read(f"models/{name}/hardening.json") or b"")
    except ValueError:
        return None
    same = all(found.get(key) == value for key, value in asked.items())
    return found if same and (Path(store.url) / "models" / name / "metrics.json").is_file() else None


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("run", metavar="RUN", help="a run's folder, with shards")
    add("--classifier", required=True, metavar="NAME", help=f"one of {', '.join(classifier_names())}")
    add("--name", default="hardened", help="the folder under models/ (default: %(default)s)")
    add("--rounds", type=positive, default=1, metavar="R")
    add("--attacks", metavar="A,B", help=f"whose variants are stored (default: {','.join(ATTACKS.values())})")
    add(
        "--samples", type=positive, default=256, metavar="N", help="clean ones that are attacked (default: %(default)s)"
    )
    add("--aim", default="both", choices=("evade", "false_flag", "both"))
    add(
        "--labellers",
        metavar="A,B",
        help="of the variants (default: those that the run's recipe trusts)",
    )
    add("--adversarial", type=float, default=2 / 255, metavar="EPS", help="budget of pixels (default: 2/255)")
    add("--attack-steps", type=positive, default=3, metavar="N", help="of that attack on the way (default: 3)")
    add("--token-budget", type=int, default=4, metavar="N", help="words or letters changed on the way (default: 4)")
    add("--epochs", type=positive, default=3)
    add("--tune-encoder", action="store_true")
    add("--encoder-rate", type=float, default=1e-4, help="learning rate of the encoders (default: 0.0001)")
    add("--clip", default=CLIP, metavar="DIR_OR_ID")
    add("--false-positive-rate", type=float, default=0.05, metavar="SHARE")
    add("--seed", type=int, default=0)
    add("--engine", choices=("local", "ray"), default="ray", help="for attacks, labels and shards")
    add("--attack-workers", type=positive, metavar="N")
    add("--workers", type=positive, metavar="N", help="Ray workers to train on (default: in this process)")
    add("--json", action="store_true", help="print one summary object as the last line")
    return parser.parse_args()


if __name__ == "__main__":
    run_command(main)
