"""One training from shards to a saved classifier: look at the data, fit, set the thresholds on validation, measure, save."""

import json
import logging
import time
from pathlib import Path
from typing import Any

import torch

from classifiers.classifier import Classifier
from classifiers.data.labelled_shards import LabelledShards
from classifiers.training.adversarial_of_recipe import harden_of
from classifiers.training.batches import BatchSource, Streamed
from classifiers.training.captured_rows import with_captures
from classifiers.training.classifier_training import ClassifierTraining, as_it_is
from classifiers.training.config import Settings
from classifiers.training.dataset_check import FEW_JUDGED, Survey, check_shards, doubts, survey_all, test_survey
from classifiers.training.encoder_tuning import encoders_of, merge_lora, tune_encoders
from classifiers.training.feature_cache import encoded
from classifiers.training.replaced import refuse_to_replace
from classifiers.training.start import begun, checkpoint_name, fingerprint_of, finished
from classifiers.training.thresholds import calibrate, measures
from pipeline.recipe import Recipe
from pipeline.rounds.existing_run import existing_run
from pipeline.rounds.ledger import recorded
from pipeline.storage.store import OBJECT_SCHEMES, Store
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.process_group import ProcessGroup
from schemas.errors import InputError

_log = logging.getLogger("hazmat")


def train(
    url: str, settings: Settings, recipe: Recipe, group: ProcessGroup | None = None, *, replace: bool = True
) -> dict[str, Any]:
    """Train what `settings` ask for on the shards of the run at `url`, made by `recipe`; its metrics, also in metrics.json.

    What was trained already is not trained again; what was begun goes on. Every worker of `group` calls this, the first one writes.
    Raises InputError for data that cannot be trained on and, without `replace`, for another finished training under this name;
    HazmatError where training breaks down.
    """
    group, started = group or ProcessGroup(), time.monotonic()
    store, _ = existing_run(url)
    if store.url.startswith(OBJECT_SCHEMES):
        raise InputError(f"{store.url}: models are written to a folder; copy the shards to a disk first")
    fingerprint = fingerprint_of(store, settings, group.size)
    if done := finished(store, settings, fingerprint):
        return done
    if not replace:
        refuse_to_replace(Path(store.url) / "models" / settings.name)
    if not group.is_main_process:
        return _trained(store, recipe, settings, group=group, fingerprint=fingerprint, started=started)
    with recorded(store, f"models/{settings.name}/", by=f"jobs/train.py RUN --classifier {settings.classifier}"):
        return _trained(store, recipe, settings, group=group, fingerprint=fingerprint, started=started)


def _trained(
    store: Store, recipe: Recipe, settings: Settings, *, group: ProcessGroup, fingerprint: str, started: float
) -> dict[str, Any]:
    checkpoint = Checkpoint(store, checkpoint_name(settings), fingerprint)
    checkpoint.restore_threads()
    torch.manual_seed(settings.seed)
    model = begun(store, settings).to(group.device)
    tune_encoders(model, settings)
    surveys = survey_all(store, model.coverage)
    tested, untested = test_survey(store, model.coverage)
    beforehand = _warned(doubts([*surveys, *([tested] if tested else [])], settings.start))
    _warned([*untested.values()])
    check_shards(store, ("train", "val", "test"))
    sources = [_source(store, each, model, settings, group) for each in surveys]
    encoding = time.monotonic() - started
    fit = _fit(settings, recipe, group=group, sources=sources, checkpoint=checkpoint)
    model.train()
    for encoder in encoders_of(model):
        encoder.train(settings.tune_encoder)
    state = fit.run(model)
    merge_lora(model)
    model.eval()
    metrics: dict[str, Any] = {
        "classifier": settings.classifier,
        "model": str(Path(store.url) / "models" / settings.name),
        "start": settings.start,
        "rows": {each.split: each.usable for each in surveys},
        "left_out": {each.split: each.left_out for each in surveys},
        "epochs": state.epoch,
        "best_epoch": state.best_epoch + 1,
        "steps": state.taken,
        "val_loss": round(state.best_loss, 6),
        "encoding_seconds": round(encoding, 2),
        "fingerprint": fingerprint,
    }
    if group.is_main_process:
        if (
            settings.start is None or surveys[1].safe >= FEW_JUDGED
        ):  # else the threshold of what it starts from is surer
            validation = sources[1] if group.size == 1 else _alone(store, surveys[1], model, settings, group)
            calibrate(model, validation, settings.false_positive_rate, ProcessGroup(device=group.device))
        _save_model(store, model, settings)  # before it is measured: what goes wrong there costs no training
        everything = [*surveys, *([tested] if tested else [])]
        metrics |= _judged(store, model, settings, surveys=everything, sources=sources, group=group)
        metrics |= {"missing": untested, "warnings": [*beforehand, *_warned(_flags_nothing(metrics))]}
        metrics["seconds"] = round(time.monotonic() - started, 2)
        store.write(f"models/{settings.name}/metrics.json", json.dumps(metrics, indent=1).encode())
        checkpoint.remove()
    group.wait()
    return metrics


def _source(store: Store, seen: Survey, model: Classifier, settings: Settings, group: ProcessGroup) -> BatchSource:
    """Rows of one split: encoded once if the encoders stay as they are, else streamed."""
    weights = settings.class_weights if seen.split == "train" else "none"
    rows = with_captures(
        store, model, Streamed(LabelledShards(store, seen.split, model.coverage.scopes), model.coverage, seen, weights)
    )
    return rows if settings.encodes_anew else encoded(model, rows, group, even=seen.split == "train")


def _fit(
    settings: Settings, recipe: Recipe, *, group: ProcessGroup, sources: list[BatchSource], checkpoint: Checkpoint
) -> ClassifierTraining:
    folder = f"models/{settings.name}/training"
    harden = harden_of(settings, recipe) if settings.adversarial else as_it_is
    return ClassifierTraining(settings, group, sources[0], sources[1], checkpoint, folder, harden)


def _alone(store: Store, seen: Survey, model: Classifier, settings: Settings, group: ProcessGroup) -> BatchSource:
    """A split as the leading worker reads it by itself."""
    return _source(store, seen, model, settings, ProcessGroup(device=group.device))


def _judged(
    store: Store,
    model: Classifier,
    settings: Settings,
    *,
    surveys: list[Survey],
    sources: list[BatchSource],
    group: ProcessGroup,
) -> dict[str, Any]:
    """Measure val, test, and train where it was encoded; by the leading worker alone."""
    splits = {each.split: _alone(store, each, model, settings, group) for each in surveys[1:]}
    if group.size == 1:
        splits["val"] = sources[1]
        splits |= {} if settings.encodes_anew else {"train": sources[0]}
    scope = surveys[0].scope
    return {
        "scope": scope,
        "threshold": model.threshold,
        "false_positive_rate": settings.false_positive_rate,
        **{
            split: measures(model, source, scope, ProcessGroup(device=group.device)) for split, source in splits.items()
        },
    }


def _warned(texts: list[str]) -> list[str]:
    """The same, once they are said."""
    for text in texts:
        _log.warning("warning: %s", text)
    return texts


def _flags_nothing(metrics: dict[str, Any]) -> list[str]:
    """A classifier that lets everything by, or flags everything, said of the split that shows it."""
    names = []
    for split in ("test", "val"):
        rates = [metrics.get(split, {}).get(name) for name in ("recall", "false_positive_rate")]
        for rate, what in ((0, "flags nothing"), (1, "flags everything")):
            if all(each == rate for each in rates):
                names.append(f"it {what} of {metrics[split]['n']} {split} rows: not a usable classifier")
    return names


def _save_model(store: Store, model: Classifier, settings: Settings) -> None:
    """The classifier, without metrics.json, which says that it is done."""
    store.delete(f"models/{settings.name}/metrics.json")
    model.save(Path(store.url) / "models" / settings.name)
