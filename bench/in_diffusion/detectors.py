"""Train every detector, and the filters they are held against, alike: the trainer's loop, the same rows, epochs and thresholds."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from bench.in_diffusion.pictures import Rows
from classifiers.classifier import Classifier
from classifiers.saved import build, load
from classifiers.training.batches import Encoded
from classifiers.training.classifier_training import ClassifierTraining
from classifiers.training.config import CLIP, Settings
from pipeline.storage.store import Store
from pipeline.storage.weights import model_directory
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.process_group import ProcessGroup
from schemas.capture import WORDS, step_of
from schemas.protocols import Inputs, Targets

STEPS = 10  # of the schedule that is trained on
EARLY = ("wukong_20", "wukong_10", "predicted_noise_20", "latent_probe_20")  # kind and percent of the schedule
FILTERS = ("text", "image")
# Of some 2,000 rows: 1e-3 in batches of 64 needs three times the epochs and ends no better.
EPOCHS, PATIENCE, BATCH, RATE = 12, 4, 32, 2e-3


def names() -> list[str]:
    """All that is trained: the two filters, and the detectors."""
    return [*FILTERS, *EARLY]


def seen_by(model: Classifier, rows: Rows, steps: int = STEPS) -> Inputs:
    """The rows as the model reads them; a detector at its own share of the schedule."""
    share = getattr(model, "share", None)
    return rows.inputs if share is None else rows.at(step_of(share, steps))


def trained(store: Store, name: str, splits: dict[str, Rows], fingerprint: str) -> Classifier:
    """The classifier `name`, from models/ if it was trained on the same rows."""
    folder = Path(store.url) / "models" / name
    mark, fingerprint = folder / "fingerprint", f"{fingerprint} {EPOCHS} {PATIENCE} {BATCH} {RATE}"
    if mark.is_file() and mark.read_text() == fingerprint:
        return load(folder)
    kind, _, share = name.rpartition("_") if name not in FILTERS else (name, "", "")
    torch.manual_seed(0)
    model = build(kind, model_directory(CLIP), name)
    if share:
        model.share = int(share) / 100  # type: ignore[assignment]  # of a detector; filters have none
    train, val = (_encoded(model, splits[split]) for split in ("train", "val"))
    settings = Settings(classifier=kind, name=name, epochs=EPOCHS, patience=PATIENCE, batch=BATCH, learning_rate=RATE)
    checkpoint = Checkpoint(store, f"models/{name}/training/checkpoint.safetensors", fingerprint)
    ClassifierTraining(settings, ProcessGroup(), train, val, checkpoint, f"models/{name}/training").run(model.train())
    model.eval().threshold = best_threshold(model, val)
    checkpoint.remove()
    model.save(folder)
    mark.write_text(fingerprint)
    return model


@torch.no_grad()
def _encoded(model: Classifier, rows: Rows) -> Encoded:
    """The scope is the model's own; the truth is the finished picture's for all, the text filter included."""
    features = model.features(seen_by(model, rows))
    share = rows.unsafe.mean().clamp(0.01, 0.99)
    weights = torch.where(rows.unsafe > 0, 0.5 / share, 0.5 / (1 - share))  # both labels weigh the same
    targets = Targets({model.scope: rows.unsafe}, {model.scope: rows.categories}, weights)
    return Encoded(rows.keys, features, targets)


@torch.no_grad()
def best_threshold(model: Classifier, val: Encoded) -> float:
    """Of greatest balanced accuracy on validation pictures, halfway between scores; alike for all."""
    scores, unsafe = model.scores_of(val.features).unsafe[model.scope], val.targets.unsafe[model.scope]
    order = scores.sort().values
    cuts = torch.cat([torch.tensor([0.5]), (order[1:] + order[:-1]) / 2]).clamp(1e-4, 1 - 1e-4)
    hits = ((scores[None] > cuts[:, None]).float() == unsafe[None]).float()
    right = hits[:, unsafe > 0].mean(dim=1) + hits[:, unsafe == 0].mean(dim=1)
    best = cuts[right == right.max()]
    return float(best[(best - 0.5).abs().argmin()])


@torch.no_grad()
def scores(model: Classifier, rows: Rows, steps: int = STEPS) -> Tensor:
    """P(unsafe), float32 [n]."""
    return model.score(seen_by(model, rows, steps)).unsafe[model.scope]


def without(rows: Rows) -> dict[str, Rows]:
    """Controls: the rows with the words of other rows, and with everything but the words of other rows."""
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
    kept = rows.inputs.captures
    mixed = {"words_of_others": {WORDS}, "drawing_of_others": kept.keys() - {WORDS}}
    return {
        control: replace(
            rows,
            inputs=replace(
                rows.inputs, captures={n: value[order] if n in names else value for n, value in kept.items()}
            ),
        )
        for control, names in mixed.items()
    }
