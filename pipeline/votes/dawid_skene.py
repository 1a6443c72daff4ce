"""Dawid and Skene (1979): judge the judges by each other, with EM over confusion matrices; sparse, with Dirichlet priors.

Four changes. Priors: a judge with few votes is taken for a decent one (maximum a posteriori; Kim and Ghahramani 2012). Pooling: a
judge's rows for the categories lean on one row for all of them, since most categories are rare. Coverage: for the classes that a
judge does not cover its row is the one for "safe", so what it says there moves nothing between them. Gold: items of known class
keep it, and all others together weigh no more than they do (EM-lambda; Nigam et al. 2000), or EM drifts off to where dependent
judges agree.

Judges can only be judged by each other where three see the same things. With fewer and without gold all are taken for equally good.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.votes.ballots import FIRST_CATEGORY, NA, SAFE, Ballots
from pipeline.votes.majority import majority

Floats = npt.NDArray[np.float64]

# Prior means of what a judge says. It errs towards safe: it misses more than it invents.
OF_SAFE = {"right": 0.90, "na": 0.03, "other": 0.07}
OF_UNSAFE = {"right": 0.60, "category": 0.15, "na": 0.05, "safe": 0.20}
OF_NA = {"right": 0.60, "other": 0.40}
STRENGTH = 1.0  # votes that a prior counts for: few, or it hides from EM that a judge is excellent
POOL = 100.0  # votes that what a judge does over all categories counts for in one: 30 lost .03 of accuracy with 80 gold items
ITERATIONS = 100
TOLERANCE = 1e-4  # mean change of the posterior of an item at which EM stops


LEAST_JUDGES = 3  # votes an item, of judges that cover everything, below which EM has more unknowns than facts


@dataclass(frozen=True)
class DawidSkeneFit:
    """What EM found. Posterior [items, K]; confusion [A, K, K] as P(answer | class); prevalence [K].

    `how`: em (judged by each other), gold (by items of known class) or prior (taken for equally good).
    """

    posterior: Floats
    confusion: Floats
    prevalence: Floats
    iterations: int
    how: str


def dawid_skene(ballots: Ballots) -> DawidSkeneFit:
    """Deterministic. The cost of an iteration grows with votes times classes: 900,000 votes of 2 classes take about 0.1 s."""
    prior = np.array([prior_rows(covered) for covered in ballots.covers]).reshape(-1, ballots.classes, ballots.classes)
    posterior, weights, how = _start(ballots)
    confusion, prevalence = prior, _prevalence(posterior)
    if how == "gold":
        confusion, prevalence = _maximise(ballots, posterior, np.where(weights == 1.0, 1.0, 0.0), prior)
    posterior = _clamped(ballots, expect(ballots, confusion, prevalence))
    iteration = 0
    while how != "prior" and iteration < ITERATIONS:
        iteration += 1
        confusion, prevalence = _maximise(ballots, posterior, weights, prior)
        updated = _clamped(ballots, expect(ballots, confusion, prevalence))
        change = float(np.abs(updated - posterior).sum(axis=1).mean())
        posterior = updated
        if change < TOLERANCE:
            break
    return DawidSkeneFit(posterior, confusion, prevalence, iteration, how)


def _start(ballots: Ballots) -> tuple[Floats, Floats, str]:
    """The majority's shares [items, K], what each item weighs in judging the judges [items], and how to go on."""
    shares = majority(ballots) + 0.01 / ballots.classes
    shares /= shares.sum(axis=1, keepdims=True)
    known = ballots.per_item(ballots.gold) > 0
    if known.any():
        share = known.sum() / max(1, (~known).sum())
        return _clamped(ballots, shares), np.where(known, 1.0, min(0.999, share)), "gold"
    votes = ballots.per_item(ballots.full[ballots.annotator])
    enough = len(votes) > 0 and float(votes[votes > 0].mean() if votes.any() else 0) >= LEAST_JUDGES
    return shares, np.ones(ballots.items), "em" if enough else "prior"


def _prevalence(posterior: Floats) -> Floats:
    """[K] of all items alike: the few gold ones may not hold a single one of a rare category."""
    total: Floats = posterior.sum(axis=0) + 1.0
    total /= total.sum()
    return total


def prior_rows(covered: npt.NDArray[np.bool_]) -> Floats:
    """[K, K] the prior mean of a judge's confusion matrix, given the categories that it covers [C]."""
    answers = np.concatenate([[True, True, True], covered])
    rows = np.full((len(answers), len(answers)), 1e-6)
    unsafe = answers.copy()
    unsafe[[SAFE, NA]] = False
    rows[SAFE, SAFE], rows[SAFE, NA] = OF_SAFE["right"], OF_SAFE["na"]
    rows[SAFE, unsafe] += OF_SAFE["other"] / unsafe.sum()
    rows[NA, answers] += OF_NA["other"] / answers.sum()
    rows[NA, NA] += OF_NA["right"]
    for true in np.flatnonzero(unsafe):
        rows[true, SAFE], rows[true, NA] = OF_UNSAFE["safe"], OF_UNSAFE["na"]
        rows[true, unsafe] += OF_UNSAFE["category"] / unsafe.sum()
        rows[true, true] += OF_UNSAFE["right"]
    rows[~answers] = rows[SAFE]
    return np.asarray(rows / rows.sum(axis=1, keepdims=True))


def expect(ballots: Ballots, confusion: Floats, prevalence: Floats) -> Floats:
    """[items, K] posterior of each item's class given its votes."""
    code = ballots.annotator * ballots.classes + ballots.answer
    logits = np.empty((ballots.items, ballots.classes))
    for true in range(ballots.classes):
        log_likelihoods = np.log(confusion[:, true, :]).ravel()
        logits[:, true] = np.log(prevalence[true]) + np.bincount(
            ballots.item, log_likelihoods[code], minlength=ballots.items
        )
    logits -= logits.max(axis=1, keepdims=True)
    weights = np.exp(logits)
    weights /= weights.sum(axis=1, keepdims=True)
    return weights


def _maximise(ballots: Ballots, posterior: Floats, weights: Floats, prior: Floats) -> tuple[Floats, Floats]:
    annotators, classes = len(ballots.annotators), ballots.classes
    code = ballots.annotator * classes + ballots.answer
    weighted = posterior * weights[:, None]
    counts = np.empty((annotators, classes, classes))
    for true in range(classes):
        seen = np.bincount(code, weighted[ballots.item, true], minlength=annotators * classes)
        counts[:, true] = seen.reshape(annotators, classes)
    rows = [_rows(*each) for each in zip(counts, prior, ballots.covers, strict=True)]
    return np.array(rows).reshape(-1, classes, classes), _prevalence(posterior)


def _rows(counts: Floats, prior: Floats, covered: npt.NDArray[np.bool_]) -> Floats:
    """[K, K] one judge's confusion matrix from its soft counts."""
    told = FIRST_CATEGORY + np.flatnonzero(covered)
    untold = FIRST_CATEGORY + np.flatnonzero(~covered)
    safe = counts[np.append(untold, SAFE)].sum(axis=0)  # what it cannot tell from safe is one class
    counts = counts.copy()
    counts[np.append(untold, SAFE)] = safe
    rows = counts + STRENGTH * prior
    if len(told) > 1:
        rows[np.append(untold, SAFE)] = safe + POOL * _levelled(safe + STRENGTH * prior[SAFE], told)
        rows[told] = counts[told] + POOL * _pooled(counts[told] + STRENGTH / len(told) * prior[told], told)
    rows /= rows.sum(axis=1, keepdims=True)
    return rows


def _levelled(row: Floats, told: npt.NDArray[np.int64]) -> Floats:
    """[K] the same rates, with those of all categories made equal: one false alarm says little about its category."""
    level: Floats = row / row.sum()
    level[told] = level[told].mean()
    return level


def _pooled(rows: Floats, told: npt.NDArray[np.int64]) -> Floats:
    """[T, K] for each category the row of all: right, another category, no category, safe and na at the judge's common rates."""
    own = rows[np.arange(len(told)), told]
    total = rows.sum()
    common = np.zeros_like(rows)
    common[:, :FIRST_CATEGORY] = rows[:, :FIRST_CATEGORY].sum(axis=0) / total
    common[:, told] = (rows[:, told].sum() - own.sum()) / total / (len(told) - 1)
    common[np.arange(len(told)), told] = own.sum() / total
    common[common == 0.0] = 1e-6
    common /= common.sum(axis=1, keepdims=True)
    return common


def _clamped(ballots: Ballots, posterior: Floats) -> Floats:
    """Gold items keep their class."""
    gold = ballots.gold
    posterior[ballots.item[gold]] = 0.0
    posterior[ballots.item[gold], ballots.answer[gold]] = 1.0
    return posterior
