"""What the embedded tagger sees, put through the world's truth: the label of record of a generated pictogram picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from pipeline.stage import Resources
from pipeline.storage.weights import model_directory, weights_digest
from schemas.errors import InputError
from schemas.sample import Sample
from stages.label.device import device, quieten
from stages.label.labeller import Judge, Labeller, Opinion
from stages.label.planned_rows import Floats, picture_of, planned_rows
from stages.label.scene_truth import image_and_pair
from stages.world import vocabulary

THRESHOLD = 0.5  # of the sigmoid, for a model whose config has no `thresholds`


@dataclass(frozen=True, kw_only=True)
class TaggerTruth(Labeller):
    """Image: the truth of the concepts that the tagger finds. Pair: that picture's with the prompt's own truth.

    `model` is any multi-label `AutoModelForImageClassification` whose labels are the world's concepts; further labels ("none")
    are passed over. Raises InputError if it knows none of them.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"pixels"})
    scopes: ClassVar[tuple[str, ...]] = ("image", "pair")
    resources: ClassVar[Resources] = Resources(cpus=1.0, accelerator=True)
    licence: ClassVar[str] = "Apache-2.0"
    model: str = "assets/world/tagger"

    def judge(self) -> Judge:
        """Load the tagger."""
        import torch
        from transformers import AutoImageProcessor, AutoModelForImageClassification

        quieten()
        directory = model_directory(self.model)
        model = AutoModelForImageClassification.from_pretrained(directory, local_files_only=True, dtype=torch.float32)
        model.eval().to(device())
        processor = AutoImageProcessor.from_pretrained(directory, local_files_only=True)
        columns, names, thresholds = _concepts(model.config, directory)

        def judge(batch: Sequence[Sample]) -> list[list[Opinion]]:
            pictures = processor(images=[picture_of(sample) for sample in batch], return_tensors="np")["pixel_values"]
            rows = planned_rows(batch, list(pictures), self.batch_size)
            with torch.inference_mode():
                logits = model(pixel_values=torch.from_numpy(rows).to(device())).logits
            probabilities: Floats = logits.sigmoid().float().cpu().numpy()[:, columns]
            return [self._opinions(sample, names, probabilities[sample.batch_row], thresholds) for sample in batch]

        return judge

    def _opinions(
        self, sample: Sample, names: Sequence[str], probabilities: Floats, thresholds: Floats
    ) -> list[Opinion]:
        if not np.isfinite(probabilities).all():
            raise ValueError("the tagger gave NaN")
        return image_and_pair(sample.prompt, [names[int(i)] for i in np.flatnonzero(probabilities >= thresholds)])

    def covers(self) -> tuple[str, ...]:
        """All that the world knows."""
        return vocabulary.UNSAFE_CATEGORIES

    @property
    def annotator(self) -> str:
        """With the model's directory."""
        return f"{self.name}/{Path(self.model).name}"

    def revision(self) -> str:
        """Digest of the weights."""
        return weights_digest(model_directory(self.model))


def _concepts(config: object, directory: Path) -> tuple[list[int], list[str], Floats]:
    """The output columns that are concepts, their names, and the probability that each must reach."""
    labels: dict[int, str] = getattr(config, "id2label", {})
    known = [(int(column), name) for column, name in labels.items() if name in vocabulary.BY_NAME]
    if not known:
        raise InputError(f"{directory}: none of its labels is a concept of the pictogram world")
    thresholds = getattr(config, "thresholds", None) or [THRESHOLD] * len(labels)
    columns = [column for column, _ in known]
    return columns, [name for _, name in known], np.asarray(thresholds, dtype=np.float32)[columns]
