"""What a training starts from: the shipped classifier of its kind, one of the user's own, or nothing; and how it is then named."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from classifiers.classifier import Classifier
from classifiers.data.labelled_shards import manifest_of
from classifiers.layers.encoders.by_directory import directories_of
from classifiers.saved import SHELF, build, load
from classifiers.targets import within
from classifiers.training.config import Settings
from pipeline.rounds.existing_run import taxonomy_of
from pipeline.storage.store import Store
from pipeline.storage.weights import local_directory, model_directory, weights_digest
from pipeline.training.checkpoint import Checkpoint
from schemas.errors import InputError

EMBEDDED, SCRATCH = "embedded", "scratch"


def with_start(store: Store, settings: Settings, wanted: str | None, workers: int) -> tuple[Settings, str]:
    """The settings with what the training starts from, and that in words. `wanted` is a folder, `EMBEDDED`, `SCRATCH` or None.

    None takes the shipped classifier where it is of the same kind, encoder and categories, unless this very training was begun
    from nothing already. Raises InputError where `EMBEDDED` is asked for and does not fit.
    """
    if wanted not in (None, EMBEDDED, SCRATCH):
        return replace(settings, start=wanted), f"from {wanted}"
    anew = replace(settings, start=None)
    if wanted == SCRATCH:
        return anew, "from scratch"
    reason = _unfit(store, settings)
    if reason is not None and wanted == EMBEDDED:
        raise InputError(f"--start embedded: {reason}")
    if reason is not None:
        return anew, f"from scratch: {reason}"
    if wanted is None and _was_begun(store, anew, workers):
        return anew, "from scratch, as it was begun"
    shipped = f"{SHELF}/{settings.classifier}"
    return replace(settings, start=shipped), f"from {shipped}, which is shipped (--start scratch: from nothing)"


def _unfit(store: Store, settings: Settings) -> str | None:
    """Why the run's classifier cannot go on from the one that is shipped of its kind, None where it can."""
    folders = {
        path.parent.name: path.parent for path in sorted((local_directory(SHELF) or Path()).glob("*/config.json"))
    }
    if settings.classifier not in folders:
        return f"no {settings.classifier} is shipped, only {', '.join(folders) or 'nothing'} ({SHELF})"
    config: dict[str, Any] = json.loads((folders[settings.classifier] / "config.json").read_text())
    around, taxonomy = str(config.get("around", {}).get("clip")), taxonomy_of(store)
    if [*map(weights_digest, directories_of(settings.clip))] != [weights_digest(model_directory(around))]:
        return f"the shipped {settings.classifier} sits on {around}, not on {settings.clip}"
    if tuple(config["categories"]) != tuple(taxonomy.ids):
        return f"the shipped {settings.classifier} knows the categories of UnsafeBench, not those of {taxonomy.label}"
    return None


def _was_begun(store: Store, settings: Settings, workers: int) -> bool:
    fingerprint = fingerprint_of(store, settings, workers)
    checkpoint = Checkpoint(store, checkpoint_name(settings), fingerprint)
    return finished(store, settings, fingerprint) is not None or checkpoint.read() is not None


def checkpoint_name(settings: Settings) -> str:
    """Where in the run the training keeps its state."""
    return f"models/{settings.name}/training/checkpoint.safetensors"


def fingerprint_of(store: Store, settings: Settings, workers: int) -> str:
    """Names the training: of its settings, shards, the weights that it begins from and how many train."""
    folders = [*directories_of(settings.clip), *([_start(store, settings.start)] if settings.start else [])]
    return settings.fingerprint(manifest_of(store)["digest"], *map(weights_digest, folders), f"{workers} workers")


def finished(store: Store, settings: Settings, fingerprint: str) -> dict[str, Any] | None:
    """The metrics of this very training, if it is done."""
    try:
        found = json.loads(store.read(f"models/{settings.name}/metrics.json") or b"")
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and found.get("fingerprint") == fingerprint else None


def begun(store: Store, settings: Settings) -> Classifier:
    """Untrained, or with the weights of `start`. Raises InputError where these are of another kind."""
    if settings.start is None:
        return build(settings.classifier, settings.clip, settings.name, taxonomy_of(store))
    model = load(_start(store, settings.start))
    if model.kind != settings.classifier:
        raise InputError(f"--start {settings.start} is a {model.kind}, and --classifier is {settings.classifier}")
    model.name = settings.name
    return model


def _start(store: Store, name: str) -> Path:
    return (within(store.url, name) or local_directory(name) or Path(name)).resolve()
