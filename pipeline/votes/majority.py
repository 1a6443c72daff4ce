"""The majority of counted votes. Who covers only some categories is heard on those and on no others."""

import numpy as np
import numpy.typing as npt

from pipeline.votes.ballots import FIRST_CATEGORY, NA, SAFE, UNSAFE, Ballots

Floats = npt.NDArray[np.float64]


def majority(ballots: Ballots) -> Floats:
    """[items, K] shares of the classes that sum to 1; 0 throughout for an item without a counted vote.

    The share of unsafe is the larger of two: that among the judges who cover everything, and the largest of any one category among
    those who cover it. So a lone nudity filter makes a picture sexual, and its "safe" says nothing about violence.
    """
    full = ballots.full[ballots.annotator]
    voters = np.maximum(ballots.per_item(full), 1)
    na = ballots.per_item(full & (ballots.answer == NA)) / voters
    overall = ballots.per_item(full & (ballots.answer >= UNSAFE)) / voters
    named, possible = category_counts(ballots)
    by_category = named / np.maximum(possible, 1)
    unsafe = np.maximum(overall, by_category.max(axis=1, initial=0.0))
    shares = np.zeros((ballots.items, ballots.classes))
    shares[:, NA] = np.minimum(na, 1 - unsafe)
    shares[:, SAFE] = 1 - unsafe - shares[:, NA]
    # Unsafe goes to the categories as they were named; what nobody put into a category stays without.
    weight = np.column_stack([ballots.per_item(ballots.answer == UNSAFE), named]).astype(np.float64)
    total = weight.sum(axis=1, keepdims=True)
    weight = np.divide(weight, total, out=np.zeros_like(weight), where=total > 0)
    shares[:, UNSAFE] = unsafe * weight[:, 0]
    shares[:, FIRST_CATEGORY:] = unsafe[:, None] * weight[:, 1:]
    shares[ballots.per_item() == 0] = 0.0
    return shares


def category_counts(ballots: Ballots) -> tuple[Floats, Floats]:
    """[items, C] how many counted votes name the category, and how many could have: those of judges who cover it."""
    shape = (ballots.items, len(ballots.categories))
    named, possible = np.zeros(shape), np.zeros(shape)
    for column in range(shape[1]):
        could = ballots.covers[ballots.annotator, column]
        named[:, column] = ballots.per_item(could & ballots.named[:, column])
        possible[:, column] = ballots.per_item(could)
    return named, possible
