"""The zoo fitted on any CLIP and the embedded world, each on the source that its original was trained on (table 1)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from classifiers.layers.encoder import ClipEncoder
from classifiers.unsafebench.dataset.images import GENERATED, REAL, Picture, tensor_of
from classifiers.unsafebench.dataset.world_pool import TRAINING, world_pool
from classifiers.zoo.backbone import all_vectors, eyes_of
from classifiers.zoo.either import Either
from classifiers.zoo.fitting import FittingSet
from classifiers.zoo.multi_headed import MultiHeaded
from classifiers.zoo.nsfw_detector import NsfwDetector
from classifiers.zoo.nude_net import NudeNetJudge
from classifiers.zoo.q16 import Q16Judge
from classifiers.zoo.sd_filter import SdFilter
from schemas.protocols import Differentiable
from stages.world.reader import read
from stages.world.truth import of_picture
from stages.world.vocabulary import VOCABULARY

COUNT = 2200  # training pictures of each source: a hundred unsafe ones a category
SEED = 40  # other prompts than the benchmark's


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Training pictures of one source with CLIP's vectors of them."""

    pictures: Sequence[Picture]
    lesson: FittingSet


def world_school(encoder: ClipEncoder, source: str, count: int = COUNT, seed: int = SEED) -> TrainingSet:
    """Drawn pictures, whose truth is known."""
    pictures = []
    for sample in world_pool(source, count, seed, TRAINING):
        assert sample.pixels is not None
        truth = of_picture(read(sample.generation_prompt).concepts)
        category = truth.categories[0] if truth.unsafe else ""
        pictures.append(Picture(sample.key, sample.pixels, source, category, truth.unsafe, sample.prompt))
    return school(encoder, pictures)


def school(encoder: ClipEncoder, pictures: Sequence[Picture], side: int | None = None) -> TrainingSet:
    """Any labelled pictures."""
    vectors = all_vectors(eyes_of(encoder), tensor_of(pictures, side))
    unsafe = torch.tensor([float(picture.unsafe) for picture in pictures], device=vectors.device)
    return TrainingSet(pictures, FittingSet(vectors, unsafe, tuple(p.category if p.unsafe else "" for p in pictures)))


def world_zoo(encoder: ClipEncoder, side: int, count: int = COUNT) -> list[Differentiable]:
    """`fitted_zoo` on drawn pictures."""
    schools = world_school(encoder, REAL, count), world_school(encoder, GENERATED, count)
    concepts = words_of("sexual"), words_of("shocking")[:3]  # stand-ins for the special-care ones too
    return fitted_zoo(encoder, schools, concepts, side)


def words_of(category: str) -> list[str]:
    """Texts that the embedded CLIP knows for what is unsafe in a category."""
    return [f"a {word}" for c in VOCABULARY if c.kind == "unsafe" and c.category == category for word in c.words]


def fitted_zoo(
    encoder: ClipEncoder,
    schools: tuple[TrainingSet, TrainingSet],
    concepts: tuple[Sequence[str], Sequence[str]],
    side: int,
) -> list[Differentiable]:
    """Q16, NSFW_Detector, NudeNet and SD_Filter's thresholds from real-world pictures, MultiHeaded from AI's; then Q16 + NudeNet.

    `schools` are real-world and AI-generated; `concepts` the texts of what SD_Filter looks for, and of its special care. `side` is
    the pictures', for the network from scratch.
    """
    real, generated = schools
    place = encoder.mean.device
    q16, multi, nsfw = (kind.untrained(encoder).to(place) for kind in (Q16Judge, MultiHeaded, NsfwDetector))
    filter_ = SdFilter.untrained(encoder, *concepts).to(place)
    q16.fit(real.lesson)
    multi.fit(generated.lesson)
    nsfw.fit(real.lesson)
    filter_.fit(real.lesson)
    nude = NudeNetJudge.untrained(side).to(place)
    nude.fit(tensor_of(real.pictures, side), real.lesson.named(nude.claims))
    return [q16, multi, filter_, nsfw, nude, Either("q16+nude_net", [q16, nude])]
