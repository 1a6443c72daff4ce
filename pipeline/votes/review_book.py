"""Reviews on disk: which items people judge, and each vote in a file of its own, durable before the voter hears of it.

    reviews/NAME/review.json                          the items, the scope and the policy
    reviews/NAME/votes/000012.person-1001.0.json      the first vote of person 1001 on item 12; .1 is a correction
    reviews/NAME/commits/0000.json                    which items' votes became a round (`stages/rounds/review_commits`)
    reviews/people.json                               pseudonyms, which are all that votes say of people

A vote's file is put only where none is: the same request twice, or again after a kill, is one vote.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from pipeline.rounds.ledger import recorded, unfinished
from pipeline.storage.store import Store
from pipeline.votes.label_studio import CHOICES, Exchange
from schemas.control_file import control_json, read_control
from schemas.errors import HazmatError, InputError
from schemas.vote import SCOPES

FOLDER = "reviews"
PEOPLE = f"{FOLDER}/people.json"
FIRST_PERSON = 1001  # Label Studio's own numbers begin at 1
BY = "jobs/app.py"
MEND = "put it back from a copy"
MOST_ITEMS = 10_000
LONGEST_REASON = 500  # characters
TURNS = threading.RLock()
"""Threads of one process that vote take turns: whose vote is the next is decided by what stands in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewVote:
    """One vote on one item, as it was sent."""

    item: int
    annotator: str  # person-N
    attempt: int  # 0, then 1 for a correction, …
    adjudicating: bool  # a third vote, cast in sight of two that differ
    label: str  # one of CHOICES, or skip
    categories: list[str] = field(default_factory=list)
    severity: int | None = None
    reason: str | None = None
    view_ms: int | None = None
    time: str  # UTC, ISO 8601

    def says_the_same(self, other: "ReviewVote") -> bool:
        """Whether another is this one sent again."""
        names = ("item", "annotator", "attempt", "label", "categories", "severity", "reason")
        return all(getattr(self, name) == getattr(other, name) for name in names)


_KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("item", "attempt"), int),
    **dict.fromkeys(("annotator", "label", "time"), str),
    "severity": (int, type(None)),
    "view_ms": (int, type(None)),
    "adjudicating": bool,
    "categories": list,
    "reason": (str, type(None)),
}


@dataclass
class Review:
    """Items and all votes on them, in the order in which they were cast."""

    name: str
    scope: str
    keys: Sequence[str | None]  # None: revoked since
    exchange: Exchange
    votes: dict[int, list[ReviewVote]] = field(default_factory=dict)

    def in_force(self, item: int) -> list[ReviewVote]:
        """Each person's last vote on an item, in the order of their first ones."""
        last: dict[str, ReviewVote] = {}
        for vote in self.votes.get(item, ()):
            last[vote.annotator] = vote
        return list(last.values())

    def checked(self, vote: ReviewVote) -> ReviewVote:
        """The vote, if it can be one. Raises InputError."""
        if not 0 <= vote.item < len(self.keys) or self.keys[vote.item] is None:
            raise InputError(f"{self.name} has no item {vote.item}")
        if vote.label not in (*CHOICES, "skip"):
            raise InputError(f"a vote's label is {vote.label[:40]!r}; expected one of {', '.join((*CHOICES, 'skip'))}")
        unknown = set(vote.categories) - set(self.exchange.categories)
        if unknown or (vote.label == "unsafe") != bool(vote.categories):
            raise InputError(
                f"unsafe goes with one or more of {', '.join(self.exchange.categories)}, anything else with none"
            )
        if vote.label == "escalate" and not (vote.reason or "").strip():
            raise InputError("say why it has to be escalated")
        if len(vote.reason or "") > LONGEST_REASON:
            raise InputError(f"a reason has at most {LONGEST_REASON} characters")
        return vote


class ReviewBook:
    """All reviews of a run. Opened once; what is written goes through it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.reviews = {review.name: review for review in _read_all(store)}
        data = store.read(PEOPLE)
        self.people = (
            {} if data is None else read_control(data, f"{store.url}/{PEOPLE}", MEND, {"numbers": dict})["numbers"]
        )

    def pseudonym(self, name: str) -> str:
        """`person-N` of a person of the app, the same in all reviews of the run."""
        with TURNS:
            if name not in self.people:
                self.people[name] = FIRST_PERSON + len(self.people)
                with recorded(self.store, PEOPLE, by=BY):
                    self.store.write(PEOPLE, control_json({"numbers": self.people}))
        return f"person-{self.people[name]}"

    def create(self, name: str, scope: str, keys: Sequence[str], exchange: Exchange) -> Review:
        """A new review. Raises InputError for a name that is taken."""
        if scope not in SCOPES or not keys or len(keys) > MOST_ITEMS:
            raise InputError(
                f"a review has a scope ({', '.join(SCOPES)}) and 1 to {MOST_ITEMS} items; it has {len(keys)}"
            )
        card = {"scope": scope, "keys": list(keys), **asdict(exchange), "made": datetime.now(UTC).isoformat()}
        path = f"{FOLDER}/{name}/review.json"
        with TURNS:
            if name in self.reviews:
                raise InputError(f"there is a review {name} already; give another name")
            with recorded(self.store, path, by=BY):
                if not self.store.create(path, control_json(card)):
                    raise InputError(f"there is a review {name} already; give another name")
            self.reviews[name] = Review(name, scope, tuple(keys), exchange)
        return self.reviews[name]

    def cast(self, review: Review, vote: ReviewVote) -> ReviewVote:
        """Put the vote on disk; durable when this returns. One that is there already, and says the same, is returned instead.

        Raises InputError for one that cannot be, HazmatError for one in whose place another is.
        """
        name = f"{FOLDER}/{review.name}/votes/{review.checked(vote).item:06d}.{vote.annotator}.{vote.attempt}.json"
        with TURNS:
            own = [one for one in review.votes.get(vote.item, ()) if one.annotator == vote.annotator]
            if vote.attempt < len(own) and own[vote.attempt].says_the_same(vote):
                return own[vote.attempt]
            if vote.attempt != len(own):
                raise HazmatError(f"there are {len(own)} votes of yours on this item already; load it again")
            with recorded(self.store, *unfinished(self.store, FOLDER), name, by=BY):
                if not self.store.create(name, control_json(asdict(vote))):
                    raise HazmatError(f"{name} is there already: another server votes on this run; stop one of them")
            review.votes.setdefault(vote.item, []).append(vote)
        return vote


def _read_all(store: Store) -> Iterator[Review]:
    names = list(store.names(FOLDER))
    for path in names:
        if path.endswith("/review.json"):
            review = _review(store, path)
            start = f"{FOLDER}/{review.name}/votes/"
            votes = [_vote(store, name) for name in names if name.startswith(start)]
            for vote in sorted(votes, key=lambda vote: (vote.time, vote.attempt)):
                review.votes.setdefault(vote.item, []).append(vote)
            yield review


def _review(store: Store, path: str) -> Review:
    needs: dict[str, type | tuple[type, ...]] = {
        "scope": str,
        "keys": list,
        "policy": str,
        "policy_version": str,
        "categories": list,
    }
    card: dict[str, Any] = read_control(store.read(path), f"{store.url}/{path}", MEND, needs)
    exchange = Exchange(card["policy"], card["policy_version"], tuple(card["categories"]))
    return Review(path.split("/")[1], card["scope"], tuple(card["keys"]), exchange)


def _vote(store: Store, path: str) -> ReviewVote:
    said = read_control(store.read(path), f"{store.url}/{path}", MEND, _KINDS)
    return ReviewVote(**{field.name: said[field.name] for field in fields(ReviewVote)})
