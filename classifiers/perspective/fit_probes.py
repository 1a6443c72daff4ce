"""Fit linear probes or soft prompts on a run's pictures: CLIP's vectors once, then the epochs over them."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from classifiers.data.labelled_pictures import LabelledPictures
from classifiers.families.perspective import PerCategory
from classifiers.models.linear_probe import LinearProbe
from pipeline.training.loop import TrainingLoop
from schemas.errors import InputError
from schemas.protocols import Inputs, Targets

ENCODED = 128  # pictures at once


@dataclass(frozen=True)
class ProbeRecipe:
    """Adam's rate, rows a step and epochs: appendix A.5's.

    `dropout` is the chance of each number that is read to be left out.
    """

    epochs: int
    rate: float = 2e-4
    batch: int = 128
    dropout: float = 0.0
    seed: int = 0


RECIPES = {"linear_probe": ProbeRecipe(epochs=30), "prompt_learning": ProbeRecipe(epochs=80)}
WITH_WORDS = ProbeRecipe(epochs=8, rate=1e-3, dropout=0.4)
"""Of probes that read visual words too: thrice the numbers, which thousands of pictures would be learnt by heart with."""
LEARNT_FROM = 1250  # pictures, the first, that visual words are clustered from: 80,000 patches of the embedded CLIP


@torch.no_grad()
def vectors_of(model: PerCategory, pictures: LabelledPictures) -> Tensor:
    """float32 of the model's features, [n, width], in the pictures' order."""
    device = model.encoder.mean.device
    vectors = []
    for _, inputs in pictures.batches(ENCODED):
        assert inputs.pixels is not None
        vectors.append(model.features(Inputs(inputs.prompts, inputs.pixels.to(device)))["vectors"])
    return torch.cat(vectors)


@torch.no_grad()
def patches_of(model: PerCategory, pictures: LabelledPictures) -> Tensor:
    """float32 [n, patches, hidden] of the first pictures."""
    few = LabelledPictures(pictures.store, pictures.rows[:LEARNT_FROM])
    device, patches = model.encoder.mean.device, []
    for _, inputs in few.batches(ENCODED):
        assert inputs.pixels is not None
        patches.append(model.encoder.patches(inputs.pixels.to(device))[0])
    return torch.cat(patches)


def fit(model: PerCategory, pictures: LabelledPictures, recipe: ProbeRecipe) -> list[float]:
    """Train with Adam; the mean loss of each epoch. Raises InputError unless both labels occur, and for a loss of NaN."""
    if len({row.unsafe for row in pictures.rows}) < 2:
        raise InputError(f"{pictures.store.url}: training needs safe and unsafe pictures in the train shards")
    if isinstance(model, LinearProbe) and model.words is not None:
        model.words.learn(patches_of(model, pictures), recipe.seed)
    vectors = vectors_of(model, pictures)
    targets = pictures.targets(range(len(pictures)), model.categories)
    order = torch.Generator().manual_seed(recipe.seed)

    def read(_: int, part: Tensor) -> Mapping[str, Tensor]:
        seen = torch.nn.functional.dropout(vectors[part], recipe.dropout)
        return model.losses_of({"vectors": seen}, _some(targets, part, vectors.device))

    trained = [p for p in model.parameters() if p.requires_grad]
    loop = TrainingLoop(module=model, optimizer=torch.optim.Adam(trained, recipe.rate), losses=read)
    losses = []
    for _ in range(recipe.epochs):
        total = 0.0
        for part, loss in loop.run(torch.split(torch.randperm(len(vectors), generator=order), recipe.batch)):
            total += loss["loss"] * len(part)
        losses.append(total / len(vectors))
        if not total < float("inf"):
            raise InputError(
                f"the loss is {losses[-1]} after {len(losses)} epochs; a lower --learning-rate may mend that"
            )
    return losses


def _some(targets: Targets, part: Tensor, device: torch.device) -> Targets:
    unsafe, named = targets.unsafe["image"][part], targets.categories["image"][part]
    return Targets({"image": unsafe.to(device)}, {"image": named.to(device)}, torch.ones(len(part), device=device))
