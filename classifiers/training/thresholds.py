"""What a fitted classifier decides: thresholds from validation rows, and a short account of each split."""

from collections.abc import Iterator

import torch
from torch import Tensor

from classifiers.classifier import Classifier
from classifiers.training.batches import BatchSource, TrainingBatch, on_device
from pipeline.training.process_group import ProcessGroup

AT_ONCE = 64  # rows


def calibrate(model: Classifier, validation: BatchSource, false_positive_rate: float, group: ProcessGroup) -> None:
    """Set the model's thresholds so that at most this share of the safe validation rows is flagged."""
    model.calibrate_of(
        ((batch.features_by(model), batch.targets) for batch in _batches(validation, group)), false_positive_rate
    )


@torch.no_grad()
def measures(model: Classifier, rows: BatchSource, scope: str, group: ProcessGroup) -> dict[str, float | int | None]:
    """Accuracy, recall and false-positive rate at the deployed threshold, with n; None where there are no such rows.

    Rows whose label nobody knows are in none of them.
    """
    flagged, unsafe = [], []
    for batch in _batches(rows, group):
        flagged.append(model.scores_of(batch.features_by(model)).unsafe[scope] > model.threshold)
        unsafe.append(batch.targets.unsafe[scope])
    if not flagged:
        return {"n": 0}
    predicted, truth = torch.cat(flagged), torch.cat(unsafe)
    known = truth.isfinite()
    predicted, bad = predicted[known], truth[known] > 0
    return {
        "n": len(bad),
        "unsafe": int(bad.sum()),
        "accuracy": _share(predicted == bad),
        "recall": _share(predicted[bad]),
        "false_positive_rate": _share(predicted[~bad]),
    }


@torch.no_grad()
def _batches(rows: BatchSource, group: ProcessGroup) -> Iterator[TrainingBatch]:
    for batch in rows.once(AT_ONCE, group):
        yield on_device(batch, group.device)


def _share(hits: Tensor) -> float | None:
    return round(float(hits.float().mean()), 4) if len(hits) else None
