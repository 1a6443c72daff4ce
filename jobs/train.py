#!/usr/bin/env python
"""Train a classifier on a run's shards: RUN/models/NAME/{model.safetensors,config.json,metrics.json}.

    jobs/train.py runs/mine --classifier multimodal
    jobs/train.py runs/mine --classifier cascade                                 goes on from the cascade that is shipped
    jobs/train.py runs/mine --classifier cascade --start scratch                 begins from random heads
    jobs/train.py runs/mine --classifier multimodal --training-workers 4         on Ray; gradients averaged
    jobs/train.py runs/mine --classifier multimodal --name hard --start multimodal --adversarial both --epochs 3

With --adversarial rows are attacked on the way: pictures within --epsilon, prompts within --token-budget. The same command goes on
where it was stopped, to the same weights. models/NAME/training/ holds the log (Parquet) and TensorBoard's files.
"""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from typer import Option

from jobs.command import DONE, LocalCommand, report, resolve_out, run_command, say, tell_root
from jobs.command.flags import (
    CLIP,
    AttackSteps,
    Clip,
    EpsilonIfAttacked,
    LearningRate,
    Replace,
    Run,
    Seed,
    Start,
    TokenBudgetIfAttacked,
    TrainingWorkers,
    named,
)
from schemas.budgets import EPSILON, TOKENS
from schemas.errors import InputError

if TYPE_CHECKING:
    from classifiers.training.config import Settings

EPOCHS, EPOCHS_ANEW = 30, 5  # where features are kept, and where every epoch runs the encoders


@dataclass(frozen=True, kw_only=True)
class Train(LocalCommand):
    """What can change the weights, but the run's shards; what is not given has the default of `Settings`."""

    lists = ("classifiers",)
    renamed: ClassVar = {"--workers": "write --training-workers N (Ray workers that train together)"}

    run: Run
    classifier: Annotated[str, named("classifiers", "which kind, listed below", "NAME")]
    name: Annotated[
        str | None, Option(metavar="NAME", help="the folder under models/ (default: the classifier's name)")
    ] = None
    clip: Clip = CLIP
    start: Start = None
    tune_encoder: Annotated[bool, Option("--tune-encoder", help="train the encoders too")] = False
    encoder_lora: Annotated[
        int, Option(min=0, metavar="RANK", help="with --tune-encoder: low-rank additions alone, merged at the end")
    ] = 0
    gradient_checkpointing: Annotated[
        bool, Option("--gradient-checkpointing", help="with --tune-encoder: less memory, a third more time")
    ] = False
    epochs: Annotated[
        int | None,
        Option(min=1, help=f"default: {EPOCHS}, or {EPOCHS_ANEW} where encoders run in every epoch", metavar="N"),
    ] = None
    batch: Annotated[int, Option(min=1, metavar="N", help="rows at once, in each worker")] = 64
    learning_rate: LearningRate = None
    encoder_rate: Annotated[float, Option(min=0, metavar="RATE", help="of the encoders, where they are trained")] = 1e-4
    adversarial: Annotated[Literal["none", "image", "prompt", "both"], Option(help="what is attacked on the way")] = (
        "none"
    )
    epsilon: EpsilonIfAttacked = None
    attack_steps: AttackSteps = 3
    token_budget: TokenBudgetIfAttacked = None
    class_weights: Annotated[
        Literal["shards", "balanced", "none"], Option(help="shards: the weights that the shards were given")
    ] = "shards"
    false_positive_rate: Annotated[
        float, Option(metavar="SHARE", help="of safe val rows that the threshold lets be flagged")
    ] = 0.05
    patience: Annotated[int, Option(min=0, metavar="EPOCHS", help="without a better val loss; 0: never stop early")] = 5
    seed: Seed = 0
    replace: Replace = False
    training_workers: TrainingWorkers = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for flag, value, whom in (
            ("--epsilon", self.epsilon, "image"),
            ("--token-budget", self.token_budget, "prompt"),
        ):
            if value is not None and self.adversarial not in (whom, "both"):
                raise InputError(f"{flag} goes with --adversarial {whom} or both")

    def settings(self) -> "Settings":
        """All of it as the trainer takes it. Raises InputError."""
        from classifiers.training.config import Settings

        values: dict[str, Any] = {
            field.name: getattr(self, field.name)
            for field in fields(Settings)
            if getattr(self, field.name, None) is not None
        }
        values["start"] = None  # `with_start` says what it is, once the run is known
        values["name"] = self.name or self.classifier
        values["epsilon"] = _budget(self.epsilon, EPSILON) if self.adversarial in ("image", "both") else 0.0
        values["token_budget"] = _budget(self.token_budget, TOKENS) if self.adversarial in ("prompt", "both") else 0
        settings = Settings(**values)
        epochs = self.epochs or (EPOCHS_ANEW if settings.encodes_anew else EPOCHS)
        return Settings(**{**vars(settings), "epochs": epochs})


def _budget(value: float | None, default: float) -> float:
    return default if value is None else value


def main(config: Train) -> int:
    """Settings in, a saved classifier and one summary out."""
    from classifiers.training.start import with_start
    from jobs.recipes.named import run_with_recipe

    store, _, recipe = run_with_recipe(resolve_out(config.run))
    settings, start = with_start(store, config.settings(), config.start, config.training_workers or 1)
    if config.training_workers is None:
        from classifiers.training.train import train
        from pipeline.training.process_group import ProcessGroup

        metrics = train(store.url, settings, recipe, ProcessGroup.alone(), replace=config.replace)
    else:
        from classifiers.training.ray_trainer import train_on_ray

        metrics = train_on_ray(store.url, settings, recipe, config.training_workers, replace=config.replace)
    describe(metrics, start)
    tell_root(store)
    report(config, metrics)
    return DONE


def describe(metrics: dict[str, Any], start: str) -> None:
    """A line for the model, which says what it started from, one for each split."""
    say(
        f"{metrics['classifier']} at {metrics['model']}, {start}: epoch {metrics['best_epoch']} of {metrics['epochs']}"
        f"{'' if metrics['best_epoch'] else ' (no epoch was better on val than what it started from)'}, "
        f"val loss {metrics['val_loss']:.4f}, threshold {metrics['threshold']:.4f} "
        f"(at most {metrics['false_positive_rate']:.0%} of the safe val rows flagged)"
    )
    for split in ("train", "val", "test"):
        if split in metrics:
            say(f"  {split:<6}{metrics[split]}")
    if any(metrics["left_out"].values()):
        say(f"  excluded, unlabelled: {metrics['left_out']}")


if __name__ == "__main__":
    run_command(main)
