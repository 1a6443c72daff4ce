#!/usr/bin/env python
"""Train PerspectiveVision's three methods on a run's shards, or the small vision-language model itself.

    jobs/perspective.py tune runs/mine --method linear_probe         → runs/mine/models/linear_probe
    jobs/perspective.py tune runs/mine --method linear_probe --words 256    what a CLIP as small as the embedded one needs
    jobs/perspective.py tune runs/mine --method prompt_learning
    jobs/perspective.py tune runs/mine --method vision_language      LoRA on assets/world/vlm
    jobs/perspective.py tune runs/mine --method vision_language --base DIR      on any LLaVA of transformers
    jobs/perspective.py pretrain --samples 17600                     makes assets/world/vlm from lessons about the world

The same command goes on where a killed one stopped (vision_language, pretrain).
"""

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from typer import Option

from jobs.command import DONE, LocalCommand, report, resolve_out, run_command, say, tell_root
from jobs.command.flags import CLIP, Clip, LearningRate, Replace, Run, Seed
from pipeline.storage.store import OBJECT_SCHEMES
from schemas.errors import InputError

if TYPE_CHECKING:
    from classifiers.data.labelled_pictures import LabelledPictures

BASE = "assets/world/vlm"
VALIDATED = 1000  # pictures of val at most, by which vision_language sets its threshold


@dataclass(frozen=True, kw_only=True)
class Tune(LocalCommand):
    """One method on one run."""

    renamed: ClassVar = {"--at-most": "write --samples N", "--rate": "write --learning-rate RATE"}
    threads = 1  # same bytes on a busy machine as on an idle one

    run: Run
    method: Annotated[Literal["linear_probe", "prompt_learning", "vision_language"], Option(help="what is trained")]
    out: Annotated[Path | None, Option(metavar="DIR", help="the classifier's folder (default: RUN/models/METHOD)")] = (
        None
    )
    clip: Clip = CLIP
    base: Annotated[str, Option(metavar="DIR", help="of vision_language: a LLaVA")] = BASE
    without: Annotated[str, Option(metavar="A,B", help="generators whose pictures are held out")] = ""
    words: Annotated[
        int, Option(min=0, metavar="N", help="linear_probe: read N visual words (fit_probes.WITH_WORDS); 0: none")
    ] = 0
    samples: Annotated[int | None, Option(min=1, metavar="N", help="pictures to train on (default: all)")] = None
    epochs: Annotated[float | None, Option(min=0, metavar="N", help="default: 30, 80 and 1, the paper's")] = None
    learning_rate: LearningRate = None
    seed: Seed = 0
    replace: Replace = False


@dataclass(frozen=True, kw_only=True)
class Pretrain(LocalCommand):
    """How the small LLaVA is made."""

    renamed: ClassVar = {"--warm": "write --start DIR"}
    threads = 1

    clip: Annotated[str, Option(metavar="DIR_OR_ID", help="any CLIP of transformers: its picture tower is taken")] = (
        CLIP
    )
    out: Annotated[Path, Option(metavar="DIR", help="where the model is stored")] = Path(BASE)
    work: Annotated[Path, Option(metavar="DIR", help="checkpoints and the curve")] = Path("runs/perspective")
    samples: Annotated[int, Option(min=1, metavar="N", help="scenes to describe")] = 32_000
    start: Annotated[Path | None, Option(metavar="DIR", help="an earlier model to go on from, whatever its CLIP")] = (
        None
    )
    seed: Seed = 0


def tune(config: Tune) -> int:
    """Train one method on a run's shards."""
    from classifiers.data.labelled_pictures import LabelledPictures
    from classifiers.training.replaced import refuse_to_replace
    from pipeline.rounds.existing_run import existing_run
    from pipeline.rounds.ledger import recorded

    started = time.monotonic()
    store, _ = existing_run(resolve_out(config.run))
    if store.url.startswith(OBJECT_SCHEMES):
        raise InputError(f"{store.url}: models are written to a folder; copy the shards to a disk first")
    pictures = LabelledPictures.of(store, "train", without=held_out(config), at_most=config.samples)
    folder = config.out or Path(store.url) / "models" / config.method
    if not config.replace:
        refuse_to_replace(folder)
    inside = folder.absolute().is_relative_to(store.url)
    owned = [f"{folder.absolute().relative_to(store.url).as_posix()}/"] if inside else []
    language = config.method == "vision_language"
    with recorded(store, *owned, by="jobs/perspective.py"):
        metrics = tune_model(config, pictures, folder) if language else fit(config, pictures, folder)
        seconds = round(time.monotonic() - started, 1)
        summary = {"model": str(folder), "pictures": len(pictures), **metrics, "seconds": seconds}
        (folder / "metrics.json").write_text(json.dumps(summary, indent=1) + "\n")
    say(f"{config.method} at {folder}, trained on {len(pictures)} pictures, loss {metrics['loss']:.3f}")
    tell_root(store)
    report(config, summary)
    return DONE


def pretrain(config: Pretrain) -> int:
    """Make the small LLaVA."""
    from classifiers.perspective.pretraining.pretrain import Order
    from classifiers.perspective.pretraining.pretrain import pretrain as make
    from pipeline.storage.weights import model_directory

    started = time.monotonic()
    clip = model_directory(config.clip)
    make(Order(clip, config.out, config.work, config.samples, config.seed, config.start))
    say(f"a LLaVA at {config.out}")
    report(config, {"model": str(config.out), "seconds": round(time.monotonic() - started, 1)})
    return DONE


def held_out(config: Tune) -> tuple[str, ...]:
    """Generators whose pictures are left out."""
    return tuple(name for name in config.without.split(",") if name)


def fit(config: Tune, pictures: "LabelledPictures", folder: Path) -> dict[str, float]:
    """Linear probes or soft prompts."""
    import torch

    from classifiers.families.perspective import PerCategory
    from classifiers.layers.encoders.by_directory import encoder_named
    from classifiers.models.linear_probe import LinearProbe
    from classifiers.models.prompt_learning import PromptLearning
    from classifiers.perspective import fit_probes
    from classifiers.saved import kind_of
    from pipeline.rounds.existing_run import taxonomy_of
    from schemas.device import best_device

    torch.manual_seed(config.seed)
    kind = kind_of(config.method)
    assert issubclass(kind, PerCategory)
    if config.words and not issubclass(kind, LinearProbe):
        raise InputError(f"--words is linear_probe's; {config.method} compares prompts with the picture's one vector")
    taxonomy = taxonomy_of(pictures.store)
    reads: dict[str, Any] = {"words": config.words} if config.words else {}
    if issubclass(kind, PromptLearning):
        reads = {"taxonomy": taxonomy}  # it begins from the categories' names
    encoder = encoder_named(config.clip).to(best_device())
    model = kind(encoder, taxonomy.ids, folder.name, **reads).eval().to(best_device())
    model.taxonomy_label = taxonomy.label
    model.origin = config.clip if Path(config.clip).is_dir() else None  # a hub's model is saved with the probes
    recipe = replace(fit_probes.WITH_WORDS if config.words else fit_probes.RECIPES[config.method], seed=config.seed)
    recipe = recipe if config.epochs is None else replace(recipe, epochs=max(1, round(config.epochs)))
    losses = fit_probes.fit(
        model, pictures, recipe if config.learning_rate is None else replace(recipe, rate=config.learning_rate)
    )
    model.save(folder)
    return {"first_loss": round(losses[0], 4), "loss": round(losses[-1], 4), "epochs": len(losses)}


def tune_model(config: Tune, pictures: "LabelledPictures", folder: Path) -> dict[str, float]:
    """LoRA on a LLaVA, then its threshold. The embedded one knows no policy texts, so that it is asked by the categories' names."""
    from classifiers.data.labelled_pictures import LabelledPictures
    from classifiers.models.vision_language import VisionLanguage
    from classifiers.perspective import lora
    from classifiers.perspective.threshold import best_threshold
    from classifiers.vlm.llava import Llava
    from pipeline.engines.stop_signals import note_standing
    from pipeline.rounds.existing_run import taxonomy_of
    from pipeline.storage.weights import base_folder

    base = base_folder(config.base)
    small = base.resolve() == base_folder(BASE).resolve()
    recipe = replace(lora.SMALL if small else lora.TuningRecipe(), seed=config.seed)
    recipe = recipe if config.epochs is None else replace(recipe, epochs=config.epochs)
    recipe = recipe if config.learning_rate is None else replace(recipe, rate=config.learning_rate)
    validation = LabelledPictures.of(pictures.store, "val", without=held_out(config), at_most=VALIDATED)
    judge = VisionLanguage(Llava.from_directory(base), taxonomy_of(pictures.store), folder.name, policies=not small)
    tuning = lora.LoraTuning(judge, pictures, recipe, folder / "work")
    loss = float("nan")
    for step, loss in tuning.run():
        note_standing(f"step {step} of {tuning.steps} is done; checkpoints in {folder / 'work'}")
        say(f"  step {step} of {tuning.steps}: loss {loss:.3f}")
    judge.threshold = best_threshold(judge, validation)
    tuning.store(folder, config.base)
    return {
        "instructions": len(tuning.examples),
        "steps": tuning.steps,
        "loss": round(loss, 4),
        "threshold": round(judge.threshold, 4),
    }


COMMANDS = (tune, pretrain)

if __name__ == "__main__":
    run_command(*COMMANDS)
