"""The pages of reviews: one begins one, annotators vote blind, the adjudicator where they differ, all see how far it is."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from starlette.responses import JSONResponse, Response

from classifiers.review_app import gallery_questions as questions
from classifiers.review_app.gallery_routes import GalleryRoutes
from classifiers.review_app.gallery_view import view_of
from classifiers.review_app.guard import AppCall
from classifiers.review_app.masking import Reveals, masked_text
from classifiers.review_app.pages import Pages
from classifiers.review_app.people import NAME
from classifiers.serving.limits import RequestError
from pipeline.rounds.existing_run import taxonomy_of
from pipeline.storage.store import Store
from pipeline.votes.review_book import MOST_ITEMS, Review, ReviewBook, ReviewVote
from pipeline.votes.review_queue import ReviewQueue, blind_agreement, counts, done_by, last_of
from stages.rounds.human_votes import exchange_of
from stages.rounds.review_commits import commit_review

UNFINISHED = ("open", "differ")


@dataclass
class ReviewRoutes:
    """`given`: the item that each person looks at, as (review, item, when they revealed it)."""

    store: Store
    book: ReviewBook
    gallery: GalleryRoutes
    reveals: Reveals
    pages: Pages
    queues: dict[str, ReviewQueue] = field(default_factory=dict)
    given: dict[str, tuple[str, int, datetime | None]] = field(default_factory=dict)

    def queue(self, call: AppCall) -> ReviewQueue:
        """Of the review in the path."""
        name = call.path("name")
        if name not in self.book.reviews:
            raise RequestError(404, "no_review", "there is no such review")
        review = self.book.reviews[name]
        return self.queues.setdefault(name, ReviewQueue(review, self.reveals.exposure.clock))

    def is_given(self, call: AppCall, key: str) -> bool:
        """Whether this person judges that sample's picture just now."""
        name, item, _ = self.given.get(call.person.name, ("", -1, None))
        review = self.book.reviews.get(name)
        if review is None or review.scope == "prompt":
            return False
        return 0 <= item < len(review.keys) and review.keys[item] == key

    def index(self, call: AppCall) -> Response:
        """All reviews; how far each is, for those who lead them."""
        voter = call.person.may("vote")
        rows = []
        for review in self.book.reviews.values():
            row: dict[str, Any] = {"name": review.name, "scope": review.scope, "items": len(review.keys)}
            if voter:
                row["done"] = done_by(review, self.book.pseudonym(call.person.name))
            else:
                row |= {"counts": counts(review), "agreement": blind_agreement(review)}
            rows.append(row)
        return self.pages.show("reviews", call, reviews=rows, voter=voter)

    def create(self, call: AppCall) -> Response:
        """A review of the first items of a view."""
        name = call.text("name", 40)
        if not NAME.fullmatch(name):
            raise RequestError(400, "invalid_request", "a review's name is of small letters, digits, - and _, up to 32")
        names = [scorer.name for scorer in self.gallery.table.scorers]
        view = view_of(_parameters(call.text("view", 4000)), names)
        count = call.number("count", 1, MOST_ITEMS) or 200
        keys = list(questions.keys(self.gallery.table, view, count))
        review = self.book.create(name, call.text("scope", 10), keys, exchange_of(self.store))
        return JSONResponse({"name": review.name, "items": len(review.keys)}, 201)

    def vote_page(self, call: AppCall) -> Response:
        """The page on which one votes; what is to be judged comes by `following`."""
        review = self.queue(call).review
        taxonomy = taxonomy_of(self.store)
        return self.pages.show("vote", call, review=review, taxonomy=taxonomy, adjudicator=_adjudicates(call))

    def following(self, call: AppCall) -> Response:
        """The next item for this person, masked."""
        queue = self.queue(call)
        item = queue.following(self.book.pseudonym(call.person.name), adjudicator=_adjudicates(call))
        return self._give(call, queue.review, item)

    def back(self, call: AppCall) -> Response:
        """The item that this person voted on last, to correct the vote."""
        queue, person = self.queue(call), self.book.pseudonym(call.person.name)
        item = last_of(queue.review, person)
        if item is None or not queue.may_vote(item, person, adjudicator=_adjudicates(call)):
            raise RequestError(409, "too_late", "there is no vote of yours that can still be changed")
        return self._give(call, queue.review, item)

    def _give(self, call: AppCall, review: Review, item: int | None) -> Response:
        person = self.book.pseudonym(call.person.name)
        progress = {"done": done_by(review, person), "items": len(review.keys)}
        today = self.reveals.exposure.today(call.person.name)
        progress |= {"today": today, "per_day": self.reveals.exposure.limits.per_day}
        if item is None:
            self.given.pop(call.person.name, None)
            return JSONResponse({"item": None, **progress})
        key = review.keys[item]
        assert key is not None
        self.given[call.person.name] = (review.name, item, None)
        row = next(iter(questions.rows_of(self.gallery.table, [key])), None)
        if row is None:
            raise RequestError(404, "no_sample", "this item's sample is not in the run any more; start the app again")
        cast = review.in_force(item)
        own = [vote for vote in review.votes.get(item, ()) if vote.annotator == person]
        shown = {"item": item, "key": key, "attempt": len(own), "text": None, "picture": review.scope != "prompt"}
        if review.scope != "image":
            shown["text"] = masked_text(row["prompt"])
        if _adjudicates(call):
            shown["others"] = [_shown(vote) for vote in cast if not vote.adjudicating]
        return JSONResponse({**shown, **progress})

    def reveal(self, call: AppCall) -> Response:
        """The item that one is given, as far as its scope goes; it stands in the audit log first."""
        review, item, _ = self._given(call)
        key = review.keys[item] or ""
        self.reveals.reveal(call.person, [key], f"review {review.name}")
        self.given[call.person.name] = (review.name, item, self.reveals.exposure.clock())
        [row] = questions.rows_of(self.gallery.table, [key])
        return JSONResponse({"text": None if review.scope == "image" else row["prompt"]})

    def _given(self, call: AppCall) -> tuple[Review, int, datetime | None]:
        name, item, since = self.given.get(call.person.name, ("", -1, None))
        if name != call.path("name") or call.body.get("item") != item:
            raise RequestError(409, "not_given", "this is not the item that you were given last; load it again")
        return self.book.reviews[name], item, since

    def vote(self, call: AppCall) -> Response:
        """Put a vote on disk, then say so. The same vote sent again is the same vote."""
        queue, person = self.queue(call), self.book.pseudonym(call.person.name)
        vote = self._vote_of(call, person)
        own = [one for one in queue.review.votes.get(vote.item, ()) if one.annotator == person]
        again = vote.attempt < len(own) and own[vote.attempt].says_the_same(vote)
        if not again:
            if not queue.may_vote(vote.item, person, adjudicator=_adjudicates(call)):
                raise RequestError(
                    409, "not_open", "this item is not open to a vote of yours (any more); load the next"
                )
            review, item, _ = self._given(call)
            if vote.label != "skip" and not self.reveals.may_see(call.person, review.keys[item] or ""):
                raise RequestError(409, "unseen", "look at it first")
            self.book.cast(queue.review, vote)
            self.reveals.hide(call.person, [review.keys[item] or ""])
            self._commit_if_finished(queue.review)
        return JSONResponse({"item": vote.item, "attempt": vote.attempt, "again": again})

    def _vote_of(self, call: AppCall, person: str) -> ReviewVote:
        now = self.reveals.exposure.clock()
        since = self.given.get(call.person.name, ("", -1, None))[2]
        item = call.number("item", 0, MOST_ITEMS)
        if item is None:
            raise RequestError(400, "invalid_request", "item: expected a number")
        label, severity = call.text("label", 20), call.number("severity", 1, 3)
        return ReviewVote(
            item=item,
            annotator=person,
            attempt=call.number("attempt", 0, 1000) or 0,
            adjudicating=_adjudicates(call),
            label=label,
            categories=call.texts("categories", 100),
            severity=severity if label == "unsafe" else None,
            reason=call.text("reason", 500).strip() or ("the annotator passed" if label == "skip" else None),
            view_ms=None if since is None else int((now - since).total_seconds() * 1000),
            time=now.isoformat(),
        )

    def _commit_if_finished(self, review: Review) -> None:
        """Votes become a round by themselves when the last item is finished; beside the answer, for it takes a while."""
        if not set(counts(review)) & set(UNFINISHED):
            threading.Thread(target=commit_review, args=(self.store, review), name=f"commit-{review.name}").start()

    def commit(self, call: AppCall) -> Response:
        """Make what is finished a round now, and say what it came to."""
        return JSONResponse(commit_review(self.store, self.queue(call).review))

    def take_up(self) -> None:
        """When the app starts: commit what was finished and not committed before it was killed."""
        for review in self.book.reviews.values():
            if not set(counts(review)) & set(UNFINISHED):
                commit_review(self.store, review)


def _adjudicates(call: AppCall) -> bool:
    return call.person.role == "adjudicator"


def _shown(vote: ReviewVote) -> Mapping[str, Any]:
    """Without who cast it."""
    return {"label": vote.label, "categories": vote.categories, "reason": vote.reason}


def _parameters(address: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(address, keep_blank_values=True, max_num_fields=200)
    except ValueError as error:
        raise RequestError(400, "invalid_request", f"view: {error}") from error
