"""Encode a split once with a frozen encoder, so that an epoch only costs the heads."""

import torch
from torch import Tensor

from classifiers.classifier import Classifier
from classifiers.training.batches import BatchSource, Encoded, Streamed, joined, on_device, rows_of
from pipeline.training.process_group import ProcessGroup

LARGEST = 4 << 30  # bytes of features that a worker may keep; beyond, encoders run again in every epoch
AT_ONCE = 64  # rows


@torch.no_grad()
def encoded(model: Classifier, rows: Streamed, group: ProcessGroup, even: bool) -> BatchSource:
    """The features of this worker's rows, or `rows` as they are where the features would not fit into memory.

    `even`: as many rows for every worker, so that all take as many steps.
    """
    wanted = len(rows) // group.size if even else len(range(group.rank, len(rows), group.size))
    keys: list[str] = []
    kept: dict[str, list[Tensor]] = {}
    targets = []
    for batch in rows.once(AT_ONCE, group):
        features = on_device(batch, group.device).features_by(model)
        if not keys and sum(value.nbytes for value in features.values()) / len(batch) * wanted > LARGEST:
            return rows
        keys += batch.keys
        targets.append(batch.targets)
        for name, value in features.items():
            kept.setdefault(name, []).append(value.cpu())
    return Encoded(
        tuple(keys[:wanted]),
        {name: torch.cat(values)[:wanted] for name, values in kept.items()},
        rows_of(joined(targets), torch.arange(wanted)),
        group.size,
    )
