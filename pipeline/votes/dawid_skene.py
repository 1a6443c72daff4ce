"""Dawid and Skene (1979): judge the judges by each other, with EM over confusion matrices; sparse, with Dirichlet priors.

Two changes. Priors, so that a judge with few votes is taken for a decent one (maximum a posteriori; Kim and Ghahramani 2012).
And coverage: for the classes that a judge does not cover its row of the confusion matrix is one and the same as for "safe", so what
it says there moves nothing between them. Items with a gold vote keep that class.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.votes.ballots import FIRST_CATEGORY, SAFE, UNSAFE, Ballots
from pipeline.votes.majority import majority

Floats = npt.NDArray[np.float64]

CORRECT = 0.75  # prior mean of saying what is so
NEARLY = 0.15  # … of saying unsafe but in no category, or another one
STRENGTH = 4.0  # votes that the prior of a confusion row counts for
ITERATIONS = 100
TOLERANCE = 1e-4  # mean change of the posterior of an item at which EM stops


@dataclass(frozen=True)
class Fit:
    """What EM found. Posterior [items, K]; confusion [A, K, K] as P(answer | class); prevalence [K]."""

    posterior: Floats
    confusion: Floats
    prevalence: Floats
    iterations: int


def dawid_skene(ballots: Ballots, strength: float = STRENGTH) -> Fit:
    """Fit from the majority's shares on. Deterministic."""
    prior = strength * prior_rows(ballots)
    iteration = 0
    posterior = _clamped(ballots, _normalised(majority(ballots)))
    while iteration < ITERATIONS:
        iteration += 1
        confusion, prevalence = _maximise(ballots, posterior, prior)
        updated = _clamped(ballots, expect(ballots, confusion, prevalence))
        change = float(np.abs(updated - posterior).sum(axis=1).mean()) if ballots.items else 0.0
        posterior = updated
        if change < TOLERANCE:
            break
    return Fit(posterior, confusion, prevalence, iteration)


def prior_rows(ballots: Ballots) -> Floats:
    """[A, K, K] the prior mean of each judge's confusion matrix, given what it covers."""
    classes = ballots.classes
    rows = np.full((classes, classes), 0.0)
    for true in range(classes):
        likeness = np.full(classes, 1.0 - CORRECT - (NEARLY if true >= UNSAFE else 0.0)) / classes
        likeness[true] += CORRECT
        if true >= UNSAFE:
            likeness[UNSAFE:] += NEARLY / (classes - UNSAFE)
        rows[true] = likeness
    every = np.repeat(rows[None], len(ballots.annotators), axis=0)
    for annotator, covered in enumerate(ballots.covers):
        if not covered.all():
            uncovered = FIRST_CATEGORY + np.flatnonzero(~covered)
            every[annotator, uncovered] = rows[SAFE]
    return every


def expect(ballots: Ballots, confusion: Floats, prevalence: Floats) -> Floats:
    """[items, K] posterior of each item's class given its votes."""
    code = ballots.annotator * ballots.classes + ballots.answer
    logits = np.empty((ballots.items, ballots.classes))
    for true in range(ballots.classes):
        said = np.log(confusion[:, true, :]).ravel()
        logits[:, true] = np.log(prevalence[true]) + np.bincount(ballots.item, said[code], minlength=ballots.items)
    logits -= logits.max(axis=1, keepdims=True)
    weights: Floats = np.exp(logits)
    weights /= weights.sum(axis=1, keepdims=True)
    return weights


def _maximise(ballots: Ballots, posterior: Floats, prior: Floats) -> tuple[Floats, Floats]:
    annotators, classes = len(ballots.annotators), ballots.classes
    code = ballots.annotator * classes + ballots.answer
    counts = np.empty((annotators, classes, classes))
    for true in range(classes):
        seen = np.bincount(code, posterior[ballots.item, true], minlength=annotators * classes)
        counts[:, true] = seen.reshape(annotators, classes)
    for annotator, covered in enumerate(ballots.covers):
        if not covered.all():  # one row for all that it cannot tell from safe
            tied = np.append(FIRST_CATEGORY + np.flatnonzero(~covered), SAFE)
            counts[annotator, tied] = counts[annotator, tied].sum(axis=0)
    confusion = counts + prior
    confusion /= confusion.sum(axis=2, keepdims=True)
    prevalence = posterior.sum(axis=0) + 1.0 / classes
    return confusion, prevalence / prevalence.sum()


def _clamped(ballots: Ballots, posterior: Floats) -> Floats:
    """Gold items keep their class."""
    gold = ballots.gold
    posterior[ballots.item[gold]] = 0.0
    posterior[ballots.item[gold], ballots.answer[gold]] = 1.0
    return posterior


def _normalised(shares: Floats) -> Floats:
    """Shares with a little of every class, so that none is ruled out from the start."""
    smoothed: Floats = shares + 0.01 / shares.shape[1]
    smoothed /= smoothed.sum(axis=1, keepdims=True)
    return smoothed
