#!/usr/bin/env python
"""Harden a classifier: attack it as it is now, add the variants to the run, label and shard them, train again; R rounds.

    jobs/harden.py runs/mine --classifier cascade --name hardened
    jobs/harden.py runs/mine --classifier multimodal --name hardened --rounds 3 --samples 2000 --epsilon 4/255

Each round starts from the weights of the one before. Beside the stored variants rows are attacked on the way. The test split is
never attacked, nor is trained on what the shards hold out. models/NAME-1, NAME-2, … are the rounds, models/NAME is the last.
The same command goes on where it was stopped.
"""

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from typer import Option

from jobs.command import DONE, ScatteredCommand, report, resolve_out, run_command, say, tell_root
from jobs.command.flags import (
    CLIP,
    Aim,
    AttackSteps,
    Clip,
    Epsilon,
    Run,
    Seed,
    TokenBudget,
    TrainingWorkers,
    named,
)
from schemas.budgets import EPSILON, TOKENS

if TYPE_CHECKING:
    from classifiers.training.adversarial_rounds import AdversarialDataConfig
    from classifiers.training.config import Settings
    from pipeline.recipe import Recipe
    from pipeline.storage.store import Store

ATTACKS = {"image": "pgd", "prompt": "token_substitution,homoglyphs,typos"}
"""By what the classifier reads, one each of: gradients on pixels, on words, signs for letters, slips. All of them search."""


@dataclass(frozen=True, kw_only=True)
class Harden(ScatteredCommand):
    """What is attacked with what, and how it is trained again."""

    lists = ("classifiers", "attacks", "labellers")
    renamed: ClassVar = {
        "--adversarial": "write --epsilon EPS",
        "--attack-workers": "write --workers N; Ray workers that train are --training-workers",
    }

    run: Run
    classifier: Annotated[str, named("classifiers", "which kind, listed below", "NAME")]
    name: Annotated[str, Option(metavar="NAME", help="the folder under models/")] = "hardened"
    rounds: Annotated[int, Option(min=1, metavar="R", help="how often it is attacked and trained again")] = 1
    attacks: Annotated[
        str | None, named("attacks", f"whose variants are stored (default: {','.join(ATTACKS.values())})")
    ] = None
    samples: Annotated[int, Option(min=1, metavar="N", help="clean samples to attack, chosen by key")] = 256
    aim: Aim = "both"
    labellers: Annotated[
        str | None,
        named("labellers", "of the variants, listed below (default: those that the run's recipe trusts)"),
    ] = None
    epsilon: Epsilon = EPSILON
    attack_steps: AttackSteps = 3
    token_budget: TokenBudget = TOKENS
    epochs: Annotated[int, Option(min=1, metavar="N", help="of each round")] = 3
    tune_encoder: Annotated[bool, Option("--tune-encoder", help="train the encoders too")] = False
    encoder_rate: Annotated[float, Option(min=0, metavar="RATE", help="of the encoders, where they are trained")] = 1e-4
    clip: Clip = CLIP
    false_positive_rate: Annotated[
        float, Option(metavar="SHARE", help="of safe val rows that the threshold lets be flagged")
    ] = 0.05
    seed: Seed = 0
    training_workers: TrainingWorkers = None

    def settings(self) -> "Settings":
        """How a round is trained. Raises InputError."""
        from classifiers.training.config import Settings

        return Settings(
            classifier=self.classifier, name=self.name, clip=self.clip, epochs=self.epochs, seed=self.seed,
            epsilon=self.epsilon, attack_steps=self.attack_steps, token_budget=self.token_budget,
            tune_encoder=self.tune_encoder, encoder_rate=self.encoder_rate, false_positive_rate=self.false_positive_rate,
        )  # fmt: skip


def main(config: Harden) -> int:
    """Train it plainly if it is not there, then the rounds."""
    from classifiers.training.adversarial_rounds import AdversarialDataConfig
    from classifiers.training.config import Settings
    from classifiers.training.start import with_start
    from jobs.recipes.named import run_with_recipe
    from pipeline.engines.engine import EngineOptions

    store, _, recipe = run_with_recipe(resolve_out(config.run))
    started = time.monotonic()
    adding = AdversarialDataConfig(
        attacks=config.attacks or attacks_on(config.classifier), samples=config.samples, epsilon=config.epsilon,
        aim=config.aim, labellers=config.labellers or recipe.labellers(), means=EngineOptions(config.engine, config.workers),
    )  # fmt: skip
    settings = config.settings()
    if not (Path(store.url) / "models" / config.classifier / "metrics.json").is_file():
        first = Settings(
            classifier=config.classifier, name=config.classifier, clip=config.clip, seed=config.seed,
            false_positive_rate=config.false_positive_rate,
        )  # fmt: skip
        first, start = with_start(store, first, None, config.training_workers or 1)
        say(f"{config.classifier} is trained first, {start}")
        fitted(store.url, first, recipe, config.training_workers)
    rounds = harden(store, recipe, settings, adding, rounds=config.rounds, workers=config.training_workers)
    for number, done in enumerate(rounds, 1):
        say(f"round {number}: {sum(done['variants'].values())} variants, {done['model']}, test {done['test']}")
    tell_root(store)
    summary = {"run": store.url, "model": rounds[-1]["model"], "rounds": rounds}
    report(config, {**summary, "seconds": round(time.monotonic() - started, 2)})
    return DONE


def attacks_on(classifier: str) -> str:
    """What it is attacked with unless something else is asked for. Raises InputError where there is no such classifier."""
    from classifiers.saved import kind_of

    reads = kind_of(classifier).reads
    return ",".join(names for what, names in ATTACKS.items() if what in reads)


def harden(
    store: "Store",
    recipe: "Recipe",
    settings: "Settings",
    adding: "AdversarialDataConfig",
    *,
    rounds: int,
    workers: int | None = None,
) -> list[dict[str, Any]]:
    """All rounds; what each did. A round that is done is known by `models/NAME/hardening.json`, and not done again."""
    from classifiers.saved import Saved
    from classifiers.training.adversarial_rounds import add_variants
    from pipeline.rounds.existing_run import existing_run
    from pipeline.rounds.ledger import recorded

    current, done = f"models/{settings.classifier}", []
    for number in range(1, rounds + 1):
        name = settings.name if number == rounds else f"{settings.name}-{number}"
        target = Saved(str(Path(store.url) / current))
        request = {"settings": settings.fingerprint(), "adding": repr(adding), "against": target.digest()}
        finished = _done(store, name, request)
        if finished is None:
            variants = add_variants(store, existing_run(store.url)[1], recipe, target, adding)
            metrics = fitted(store.url, replace(settings, name=name, start=current), recipe, workers)
            kept = {what: metrics[what] for what in ("model", "val", "test")}
            finished = {**request, "variants": variants, **kept}
            with recorded(store, f"models/{name}/hardening.json", by="jobs/harden.py"):
                store.write(f"models/{name}/hardening.json", json.dumps(finished, indent=1).encode())
        done.append(finished)
        current = f"models/{name}"
    return done


def fitted(url: str, settings: "Settings", recipe: "Recipe", workers: int | None) -> dict[str, Any]:
    """Train in this process, or on Ray's workers."""
    if workers is None:
        from classifiers.training.train import train
        from pipeline.training.process_group import ProcessGroup

        return train(url, settings, recipe, ProcessGroup.alone())
    from classifiers.training.ray_trainer import train_on_ray

    return train_on_ray(url, settings, recipe, workers)


def _done(store: "Store", name: str, request: dict[str, str]) -> dict[str, Any] | None:
    """What this very round did, if it is done and its classifier is still there."""
    try:
        metrics: dict[str, Any] = json.loads(store.read(f"models/{name}/hardening.json") or b"")
    except ValueError:
        return None
    same = all(metrics.get(key) == value for key, value in request.items())
    return metrics if same and (Path(store.url) / "models" / name / "metrics.json").is_file() else None


if __name__ == "__main__":
    run_command(main)
