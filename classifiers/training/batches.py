"""From rows to batches: prompts and pictures as tensors, truths by scope, weights; streamed, or out of features encoded once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from classifiers.classifier import Classifier, Features
from classifiers.data.labelled_sample import LabelledSample
from classifiers.data.labelled_shards import LabelledShards
from classifiers.training.dataset_check import LARGEST_WEIGHT, Survey
from pipeline.training.process_group import ProcessGroup
from schemas.identity import seed_of
from schemas.protocols import Coverage, Inputs, Targets


@dataclass(frozen=True, eq=False)
class TrainingBatch:
    """Rows of one shape: `inputs`, or the `features` of them."""

    keys: tuple[str, ...]
    targets: Targets
    inputs: Inputs | None = None
    features: Features | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def losses(self, model: Classifier) -> Mapping[str, Tensor]:
        """The classifier's losses, as in `contract.Trainable`."""
        if self.features is not None:
            return model.losses_of(self.features, self.targets)
        return model.losses(self.seen, self.targets)

    def features_by(self, model: Classifier) -> Features:
        """What the encoders make of it."""
        return model.features(self.seen) if self.features is None else self.features

    @property
    def seen(self) -> Inputs:
        """The inputs. Raises ValueError where only features were kept."""
        if self.inputs is None:
            raise ValueError("of these rows only features were kept")
        return self.inputs


class BatchSource(Protocol):
    """Rows of a split, again and again."""

    def __len__(self) -> int:
        """Rows."""

    def epoch(self, seed: int, skip: int, batch: int, group: ProcessGroup) -> Iterator[list[TrainingBatch]]:
        """This worker's part of every step's rows, shuffled by `seed`, from step `skip` on.

        A step takes `batch` rows a worker, the last what is left; all workers together see each row once, but for fewer than there
        are workers. What has pictures of several shapes is cut there.
        """

    def once(self, batch: int, group: ProcessGroup) -> Iterator[TrainingBatch]:
        """This worker's part of all rows, in their order."""


def steps_of(rows: int, batch: int, group: ProcessGroup) -> int:
    """Steps of one epoch, the same for every worker."""
    whole, rest = divmod(rows, batch * group.size)
    return whole + (rest >= group.size)


@dataclass(frozen=True)
class Streamed:
    """Out of the tars, decoded as they are needed."""

    rows: LabelledShards
    coverage: Coverage
    survey: Survey
    class_weights: str = "shards"

    def __len__(self) -> int:
        return self.survey.usable

    def epoch(self, seed: int, skip: int, batch: int, group: ProcessGroup) -> Iterator[list[TrainingBatch]]:
        """As in `BatchSource`; of what is skipped no picture is decoded."""
        stream = islice(self.rows.shuffled(seed), skip * batch * group.size, None)
        while rows := list(islice(stream, batch * group.size)):
            mine = group.share(rows)
            if mine:
                yield [self.batch_of(part) for part in same_shape(mine)]

    def once(self, batch: int, group: ProcessGroup) -> Iterator[TrainingBatch]:
        """As in `BatchSource`."""
        stream = islice(iter(self.rows), group.rank, None, group.size)
        while rows := list(islice(stream, batch)):
            yield from (self.batch_of(part) for part in same_shape(rows))

    def batch_of(self, rows: Sequence[tuple[LabelledSample, Any]]) -> TrainingBatch:
        """Rows with their pictures, all of one shape."""
        pixels = torch.from_numpy(np.stack([picture for _, picture in rows])).permute(0, 3, 1, 2).float() / 255
        inputs = Inputs(tuple(row.sample.prompt for row, _ in rows), pixels)
        return TrainingBatch(tuple(row.sample.key for row, _ in rows), self._targets([row for row, _ in rows]), inputs)

    def _targets(self, rows: Sequence[LabelledSample]) -> Targets:
        known = {"safe": 0.0, "unsafe": 1.0}
        return Targets(
            {s: torch.tensor([known.get(row.of(s).label, float("nan")) for row in rows]) for s in self.coverage.scopes},
            {
                s: torch.tensor([[float(c in row.of(s).categories) for c in self.coverage.categories] for row in rows])
                for s in self.coverage.scopes
            },
            torch.tensor([self._weight(row) for row in rows]),
        )

    def _weight(self, row: LabelledSample) -> float:
        if self.class_weights == "none":
            return 1.0
        if self.class_weights == "shards":
            return min(row.weight, LARGEST_WEIGHT) / self.survey.mean_weight
        share = {"unsafe": self.survey.unsafe, "safe": self.survey.safe}.get(row.of(self.survey.scope).label, 0)
        return (self.survey.unsafe + self.survey.safe) / (2 * share) if share else 1.0


@dataclass(frozen=True, eq=False)
class Encoded:
    """This worker's rows of a split, encoded once; for encoders that stay as they are."""

    keys: tuple[str, ...]
    features: Features
    targets: Targets
    workers: int = 1

    def __len__(self) -> int:
        return len(self.keys) * self.workers

    def epoch(self, seed: int, skip: int, batch: int, group: ProcessGroup) -> Iterator[list[TrainingBatch]]:
        """As in `BatchSource`, but that a worker sees the same rows in every epoch."""
        draw = torch.Generator().manual_seed(seed_of(str(seed), f"rank {group.rank}"))
        for rows in torch.split(torch.randperm(len(self.keys), generator=draw), batch)[skip:]:
            yield [self._take(rows)]

    def once(self, batch: int, group: ProcessGroup) -> Iterator[TrainingBatch]:
        """As in `BatchSource`."""
        for rows in torch.split(torch.arange(len(self.keys)), batch):
            yield self._take(rows)

    def _take(self, rows: Tensor) -> TrainingBatch:
        keys = tuple(self.keys[row] for row in rows.tolist())
        features = {name: value[rows] for name, value in self.features.items()}
        return TrainingBatch(keys, rows_of(self.targets, rows), features=features)


def same_shape(rows: Sequence[LabelledSample]) -> Iterator[list[tuple[LabelledSample, Any]]]:
    """Rows with their decoded pictures, cut by shape; those of one shape in their order."""
    pictures = [(row, row.pixels()) for row in rows]
    for shape in dict.fromkeys(picture.shape for _, picture in pictures):
        yield [(row, picture) for row, picture in pictures if picture.shape == shape]


def rows_of(targets: Targets, rows: Tensor) -> Targets:
    """Some of the rows."""
    return Targets(
        {scope: value[rows] for scope, value in targets.unsafe.items()},
        {scope: value[rows] for scope, value in targets.categories.items()},
        targets.weights[rows],
    )


def joined(parts: Sequence[Targets]) -> Targets:
    """One after the other."""
    scopes = parts[0].unsafe.keys()
    return Targets(
        {scope: torch.cat([part.unsafe[scope] for part in parts]) for scope in scopes},
        {scope: torch.cat([part.categories[scope] for part in parts]) for scope in scopes},
        torch.cat([part.weights for part in parts]),
    )


def on_device(batch: TrainingBatch, device: torch.device) -> TrainingBatch:
    """The batch's tensors there."""
    if device.type == "cpu":
        return batch

    def there(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {scope: value.to(device, non_blocking=True) for scope, value in values.items()}

    targets = batch.targets
    moved = Targets(there(targets.unsafe), there(targets.categories), targets.weights.to(device))
    inputs = batch.inputs
    if inputs is not None and inputs.pixels is not None:
        inputs = replace(inputs, pixels=inputs.pixels.to(device, non_blocking=True))
    features = None if batch.features is None else there(batch.features)
    return TrainingBatch(batch.keys, moved, inputs, features)


def epoch_seed(seed: int, epoch: int) -> int:
    """Of the order of one epoch's rows."""
    return seed_of(str(seed), f"epoch {epoch}")
