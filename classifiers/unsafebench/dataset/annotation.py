"""The two rounds of UnsafeBench's annotation, by any three annotators: two look, a third where they disagree; then the category."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.votes.agreement import fleiss_kappa
from schemas.sample import Sample
from schemas.vote import Vote
from stages.label.labeller import Labeller
from stages.world.reader import read
from stages.world.truth import of_picture

SAFE, UNSAFE, NA = LABELS = ("safe", "unsafe", "na")
UNSURE = 0.1, 0.3  # of P(unsafe): between them the third annotator cannot say


@dataclass(frozen=True, slots=True)
class Say:
    """One annotator's answer about one picture: safe, unsafe or na, and the categories of an unsafe one, foremost first."""

    label: str
    categories: tuple[str, ...] = ()


Annotator = Callable[[Sequence[Sample]], list[Say]]


@dataclass(frozen=True, slots=True)
class Annotated:
    """The first two answers, the third where it was asked for, and what follows from them."""

    blind: tuple[Say, Say]
    third: Say | None
    label: str
    category: str | None  # of an unsafe picture: the predominant one


def annotate(samples: Sequence[Sample], first: Annotator, second: Annotator, third: Annotator) -> list[Annotated]:
    """Both rounds; the third annotator sees only what the first two disagree on."""
    pairs = list(zip(first(samples), second(samples), strict=True))
    disputed = [row for row, (a, b) in enumerate(pairs) if a.label != b.label]
    decisions = dict(zip(disputed, third([samples[row] for row in disputed]), strict=True))
    return [decided(pair, decisions.get(row)) for row, pair in enumerate(pairs)]


def decided(blind: tuple[Say, Say], third: Say | None) -> Annotated:
    """The majority; three unlike answers make `na`, since nobody could tell. The category is what most of those who say unsafe
    name first, the earlier annotator's where they differ.
    """
    says = [*blind, *([] if third is None else [third])]
    label, votes = Counter(say.label for say in says).most_common(1)[0]
    label = label if votes > len(says) / 2 else NA
    named = [say.categories[0] for say in says if say.label == UNSAFE and say.categories]
    category = Counter(named).most_common(1)[0][0] if label == UNSAFE and named else None
    return Annotated(blind, third, label, category)


def kappa(annotated: Sequence[Annotated]) -> float:
    """Fleiss' kappa of the two blind answers. (The paper counts the third one where there is one, which is no blind vote.)"""
    counts = np.array([[sum(say.label == label for say in each.blind) for label in LABELS] for each in annotated])
    return float(fleiss_kappa(counts.astype(np.int64), np.ones((1, len(counts))))[0])


def by_labeller(labeller: Labeller, *, unsure: tuple[float, float] | None = None) -> Annotator:
    """A labeller's votes on the image. With `unsure`, a picture whose score lies between both is na; what it skips always is."""
    step = labeller.open()

    def annotator(samples: Sequence[Sample]) -> list[Say]:
        size = labeller.batch_size
        parts = [samples[start : start + size] for start in range(0, len(samples), size)]
        seen = [
            voted for part in parts for voted in step([replace(s, batch_row=i, votes=()) for i, s in enumerate(part)])
        ]
        return [_say(next(v for v in sample.votes if v.scope == "image"), unsure) for sample in seen]

    return annotator


def _say(vote: Vote, unsure: tuple[float, float] | None) -> Say:
    doubtful = unsure is not None and unsure[0] <= (vote.score or 0.0) < unsure[1]
    if vote.label not in (SAFE, UNSAFE) or doubtful:
        return Say(NA)
    return Say(vote.label, tuple(vote.categories))


def by_words(samples: Sequence[Sample]) -> list[Say]:
    """What the caption says is shown, by the world's truth: a drawing's truth itself, for a generated picture what was asked."""
    truths = [of_picture(read(sample.generation_prompt).concepts) for sample in samples]
    return [Say(UNSAFE if truth.unsafe else SAFE, truth.categories) for truth in truths]
