"""Rows of the shards with what was kept of their drawing, for classifiers that read it. Captures stay where they were committed."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch

from classifiers.classifier import Classifier
from classifiers.data.labelled_sample import LabelledSample
from classifiers.families.in_diffusion import InDiffusion
from classifiers.training.batches import Streamed, TrainingBatch
from pipeline.rounds.captures import CaptureReader
from pipeline.storage.store import Store


@dataclass(frozen=True)
class CapturedRows(Streamed):
    """As `Streamed`, each batch with the captures when `share` of the schedule was done, found by the rows' keys."""

    reader: CaptureReader | None = None
    share: float = 0.0

    def batch_of(self, rows: Sequence[tuple[LabelledSample, Any]]) -> TrainingBatch:
        """Raises InputError for rows that nothing was kept of, such as attacked variants that were not drawn anew."""
        batch = super().batch_of(rows)
        assert self.reader is not None
        kept = self.reader.stacked(batch.keys, self.share)
        captures = {name: torch.from_numpy(array) for name, array in kept.items()}
        return replace(batch, inputs=replace(batch.seen, captures=captures))


def with_captures(store: Store, model: Classifier, rows: Streamed) -> Streamed:
    """The rows as the model reads them: as they are, unless it is a detector inside a drawing.

    Raises InputError where the run kept nothing of its drawings.
    """
    if not isinstance(model, InDiffusion):
        return rows
    columns = {field.name: getattr(rows, field.name) for field in fields(rows)}
    return CapturedRows(**columns, reader=CaptureReader.of(store), share=model.share)
