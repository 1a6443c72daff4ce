"""UnsafeBench's protocol as a queue: two people judge blind, a third only where they differ (Qu et al. 2024, section 3)."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np

from pipeline.votes.agreement import BLIND_VOTES, measures
from pipeline.votes.review_book import Review, ReviewVote
from schemas.vote import COUNTED

HELD = timedelta(minutes=15)  # that an item is kept for somebody who was given it
STATES = ("open", "differ", "decided", "undecided", "escalated", "revoked")


def state_of(review: Review, item: int) -> str:
    """One of STATES: open to blind votes, waiting for the adjudicator, or finished in one of three ways."""
    if review.keys[item] is None:
        return "revoked"
    cast = [vote for vote in review.in_force(item) if vote.label != "skip"]
    blind = [vote for vote in cast if not vote.adjudicating]
    if len(blind) < BLIND_VOTES:
        return "open"
    labels = Counter(vote.label for vote in cast)
    if labels["escalate"] == BLIND_VOTES or any(vote.adjudicating and vote.label == "escalate" for vote in cast):
        return "escalated"
    if len({vote.label for vote in blind}) == 1:
        return "decided"
    if len(cast) == len(blind):
        return "differ"
    return "decided" if labels.most_common(1)[0][1] > 1 else "undecided"


@dataclass
class ReviewQueue:
    """Who is given what next. `clock` says the time."""

    review: Review
    clock: Callable[[], datetime]
    held: dict[int, dict[str, datetime]] = field(default_factory=dict)  # item → person → since when

    def following(self, person: str, *, adjudicator: bool) -> int | None:
        """The next item for this person, kept for them for a while; None where nothing is left."""
        for item in range(len(self.review.keys)):
            if self.may_vote(item, person, adjudicator=adjudicator) and not self._voted(item, person):
                self.held.setdefault(item, {})[person] = self.clock()
                return item
        return None

    def may_vote(self, item: int, person: str, *, adjudicator: bool) -> bool:
        """Whether a vote of this person on the item is one of the protocol's: also a correction, until a third has voted."""
        if not 0 <= item < len(self.review.keys):
            return False
        state = state_of(self.review, item)
        cast = self.review.in_force(item)
        if state == "revoked":
            return False
        if adjudicator:
            return state == "differ" or any(vote.adjudicating and vote.annotator == person for vote in cast)
        if self._voted(item, person):
            return not any(vote.adjudicating for vote in cast)
        others = {vote.annotator for vote in cast if vote.label != "skip"}
        others |= {name for name, since in self.held.get(item, {}).items() if self.clock() - since < HELD}
        return state == "open" and len(others - {person}) < BLIND_VOTES

    def _voted(self, item: int, person: str) -> bool:
        return any(vote.annotator == person for vote in self.review.votes.get(item, ()))


def last_of(review: Review, person: str) -> int | None:
    """The item that this person voted on last."""
    own = [vote for votes in review.votes.values() for vote in votes if vote.annotator == person]
    return max(own, key=lambda vote: vote.time).item if own else None


def counts(review: Review) -> dict[str, int]:
    """Items by state."""
    found = Counter(state_of(review, item) for item in range(len(review.keys)))
    return {state: found[state] for state in STATES if found[state]}


def done_by(review: Review, person: str) -> int:
    """Items that this person has voted on."""
    return sum(any(vote.annotator == person for vote in votes) for votes in review.votes.values())


def blind_agreement(review: Review) -> dict[str, float] | None:
    """Kappa, alpha, AC1 and plain agreement of the two blind votes as first cast, with intervals; None without any."""
    pairs = [pair for votes in review.votes.values() if (pair := _first_two(votes)) is not None]
    if not pairs:
        return None
    labels = np.array([[COUNTED.index(label) for label in pair] for pair in pairs])
    table = np.stack([(labels == code).sum(axis=1) for code in range(len(COUNTED))], axis=1)
    return {"items": float(len(pairs)), **measures(table)}


def _first_two(votes: list[ReviewVote]) -> list[str] | None:
    """The first labels of the first two people, where both are opinions."""
    first: dict[str, str] = {}
    for vote in votes:
        if not vote.adjudicating and vote.label in COUNTED:
            first.setdefault(vote.annotator, vote.label)
    labels = list(first.values())[:BLIND_VOTES]
    return labels if len(labels) == BLIND_VOTES else None
