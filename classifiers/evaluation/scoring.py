"""Ask a scorer about rows: inputs of cases, batch by batch, and the truth read anew where an attack may have changed it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import torch

from classifiers.data.labelled_sample import NA, UNKNOWN, LabelledSample, ScopeTruth
from classifiers.evaluation.captures import Captures
from schemas.catalogue import SCOPES
from schemas.device import best_device
from schemas.protocols import Inputs, Scorer
from schemas.sample import Pixels, Sample
from schemas.vote import COUNTED
from stages.label.labeller import Labeller

AT_ONCE = 64  # rows a batch: 64 x 64 pixels in a small CLIP; more is no faster on two cores


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a scorer says of one row, at its deployed threshold."""

    score: float
    flagged: bool
    category_scores: tuple[float, ...]


def decided_scope(scorer: Scorer) -> str:
    """The widest scope that it predicts: the one that its decision is about."""
    return next(scope for scope in reversed(SCOPES) if scope in scorer.coverage.scopes)


def inputs_of(cases: Sequence[LabelledSample], kept: Captures | None = None) -> Inputs:
    """Cases whose pictures share a shape (or that have none), as rows on the accelerator if there is one; with what was `kept`."""
    prompts = tuple(case.sample.prompt for case in cases)
    captures = {} if kept is None else kept.of(cases)
    pictures = [case.sample.pixels for case in cases if case.sample.pixels is not None]
    if len(pictures) < len(cases):
        return Inputs(prompts, captures=captures)
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
    return Inputs(prompts, pixels.to(best_device()), captures)


def pixels_of(inputs: Inputs, row: int) -> Pixels | None:
    """uint8 [height, width, 3] of one row."""
    if inputs.pixels is None:
        return None
    levels = (inputs.pixels[row] * 255).round().to(torch.uint8).permute(1, 2, 0)
    return np.ascontiguousarray(levels.cpu().numpy())


def alike(cases: Sequence[LabelledSample]) -> Iterator[list[LabelledSample]]:
    """Cut where the shape of the picture changes, and at AT_ONCE."""
    for _, same in groupby(cases, key=lambda case: None if case.sample.pixels is None else case.sample.pixels.shape):
        rows = list(same)
        yield from (rows[first : first + AT_ONCE] for first in range(0, len(rows), AT_ONCE))


def verdicts(scorer: Scorer, cases: Sequence[LabelledSample], kept: Captures | None = None) -> list[Verdict]:
    """One a case, in order; `kept` is what the scorer reads of their drawings, if it does."""
    rows: list[Verdict] = []
    scope = decided_scope(scorer)
    for part in alike(cases):
        scores = scorer.score(inputs_of(part, kept))
        unsafe, categories = scores.unsafe[scope].tolist(), scores.categories[scope].tolist()
        rows += [Verdict(p, p > scorer.threshold, tuple(named)) for p, named in zip(unsafe, categories, strict=True)]
    return rows


class Relabeller:
    """Labellers that are no part of the defence, opened once and asked in order; the first that decides a scope is believed."""

    def __init__(self, labellers: Sequence[Labeller]) -> None:
        self._steps = [(labeller.batch_size, labeller.open()) for labeller in labellers]

    def truths(self, samples: Sequence[Sample]) -> list[dict[str, ScopeTruth]]:
        """By scope; `na` where no labeller decides."""
        voted = [replace(sample, votes=()) for sample in samples]
        for size, step in self._steps:
            parts = [voted[first : first + size] for first in range(0, len(voted), size)]
            planned = [
                [replace(sample, batch_row=batch_row) for batch_row, sample in enumerate(part)] for part in parts
            ]
            voted = [voted_sample for part in planned for voted_sample in step(part)]
        return [_truth(sample) for sample in voted]


def _truth(sample: Sample) -> dict[str, ScopeTruth]:
    truth = dict.fromkeys(SCOPES, UNKNOWN)
    for vote in reversed(sample.votes):
        if vote.label in COUNTED and vote.label != NA:
            truth[vote.scope] = ScopeTruth(vote.label, vote.categories)
    return truth
