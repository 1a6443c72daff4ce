"""People who vote in the web app by its protocol: two annotators who differ on one item in five, and an adjudicator."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.support.served_app import AppClient

ITEMS = 20
DIFFERENT = frozenset(range(0, ITEMS, 5))


def label_of(name: str, item: int) -> str:
    """What a person says of an item: as all do, but ben differs on some."""
    usual = "unsafe" if item % 2 else "safe"
    other = {"safe": "unsafe", "unsafe": "safe"}[usual]
    return other if name == "ben" and item in DIFFERENT else usual


def ballot(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """The vote on an item that was given."""
    label = label_of(name, given["item"])
    categories = ["violence"] if label == "unsafe" else []
    return {"item": given["item"], "attempt": given["attempt"], "label": label, "categories": categories}


@dataclass
class Voter:
    """Somebody in the app who takes what comes next. `before_vote` is called with each ballot that is about to be sent."""

    name: str
    client: AppClient
    review: str
    before_vote: Callable[[dict[str, Any]], None] = lambda _: None

    def step(self) -> dict[str, Any] | None:
        """One item: ask, reveal, vote. What was given; None where nothing is left."""
        status, given = self.client.post(f"/reviews/{self.review}/next")
        assert status == 200, given
        if given["item"] is None:
            return None
        assert self.client.post(f"/reviews/{self.review}/reveal", {"item": given["item"]})[0] == 200
        vote = ballot(self.name, given)
        self.before_vote(vote)
        status, told = self.client.post(f"/reviews/{self.review}/vote", vote)
        assert status == 200, told
        return {**given, "vote": vote}

    def all(self) -> list[dict[str, Any]]:
        """Until nothing is left."""
        taken = []
        while (one := self.step()) is not None:
            taken.append(one)
        return taken
