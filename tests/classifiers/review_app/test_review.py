"""The protocol over HTTP: two blind votes, a third only where they differ, and votes that are rows as Label Studio's are."""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from classifiers.review_app.exposure import ExposureLimits
from pipeline.rounds.audit_log import entries
from pipeline.storage.local_store import LocalStore
from pipeline.votes.aggregate import aggregate
from pipeline.votes.read import read_votes
from schemas.vote import Vote, votes_of
from tests.support.served_app import ServedApp, run_to_look_at, served_app
from tests.support.voters import DIFFERENT, ITEMS, Voter, ballot, label_of

Finished = tuple[LocalStore, list[Vote], dict[str, list[dict[str, Any]]]]


def people_votes(store: LocalStore) -> list[Vote]:
    return [vote for vote in votes_of(read_votes(store)[0]) if vote.annotator_type == "human"]


def until_committed(store: LocalStore, count: int) -> list[Vote]:
    """The app makes votes a round beside its answers."""
    until = time.monotonic() + 60
    while len(people_votes(store)) < count and time.monotonic() < until:
        time.sleep(0.05)
    return people_votes(store)


def begin(app: ServedApp, name: str = "twenty", scope: str = "pair", count: int = ITEMS) -> None:
    status, told = app.client("lead").post("/reviews/new", {"name": name, "scope": scope, "count": count, "view": ""})
    assert status == 201, told


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    store = run_to_look_at(tmp_path_factory.mktemp("review") / "run")
    with served_app(store, tmp_path_factory.mktemp("tokens") / "app.tokens") as app:
        begin(app)
        taken = {name: Voter(name, app.client(name), "twenty").all() for name in ("anna", "ben", "carla")}
        votes = until_committed(store, 2 * ITEMS + len(DIFFERENT))
    return store, votes, taken


@pytest.fixture
def app(tmp_path: Path) -> Iterator[ServedApp]:
    store = run_to_look_at(tmp_path / "run")
    with served_app(store, tmp_path / "app.tokens", ExposureLimits(per_day=8, stretch=timedelta(hours=9))) as served:
        yield served


def test_each_item_has_two_blind_votes_and_a_third_only_where_they_differ(finished: Finished) -> None:
    _, votes, taken = finished
    assert [len(taken[name]) for name in ("anna", "ben", "carla")] == [ITEMS, ITEMS, len(DIFFERENT)]
    assert {one["item"] for one in taken["carla"]} == DIFFERENT
    assert len(votes) == 2 * ITEMS + len(DIFFERENT) and sum(vote.blind for vote in votes) == 2 * ITEMS
    assert all(vote.view_ms is not None and vote.covers and vote.policy for vote in votes)


def test_votes_say_what_was_voted_under_a_pseudonym(finished: Finished) -> None:
    _, votes, taken = finished
    assert {vote.annotator for vote in votes} == {"person-1001", "person-1002", "person-1003"}
    item_of = {one["key"]: one["item"] for one in taken["anna"]}
    names = dict(zip(sorted({vote.annotator for vote in votes}), ("anna", "ben", "carla"), strict=True))
    for vote in votes:
        label = label_of(names[vote.annotator], item_of[vote.key])
        assert vote.label == label and vote.categories == (("violence",) if label == "unsafe" else ())


def test_annotators_are_blind_and_the_adjudicator_is_not(finished: Finished) -> None:
    _, _, taken = finished
    assert not any("others" in one for name in ("anna", "ben") for one in taken[name])
    assert all({vote["label"] for vote in one["others"]} == {"safe", "unsafe"} for one in taken["carla"])
    assert "person" not in str([one["others"] for one in taken["carla"]])


def test_labels_are_made_of_them_as_of_any_votes(finished: Finished) -> None:
    store, votes, _ = finished
    assert aggregate(store, "majority")["agreement_rows"]
    assert {vote.scope for vote in votes} == {"pair"}


def test_each_look_stands_in_the_audit_log(finished: Finished) -> None:
    store, _, taken = finished
    seen = [(entry.person, key) for entry in entries(store) for key in entry.details.get("keys", ())]
    assert sorted(seen) == sorted((name, one["key"]) for name, own in taken.items() for one in own)


def test_a_vote_that_is_sent_again_is_the_same_vote(app: ServedApp) -> None:
    begin(app)
    anna = app.client("anna")
    given = Voter("anna", anna, "twenty").step()
    assert given is not None
    for _ in range(2):
        assert anna.post("/reviews/twenty/vote", given["vote"]) == (200, {"item": 0, "attempt": 0, "again": True})
    other = {**given["vote"], "label": "na", "categories": []}
    assert anna.post("/reviews/twenty/vote", other)[0] in (409, 500)


def test_the_last_vote_can_be_corrected(app: ServedApp) -> None:
    begin(app, count=2)
    anna = app.client("anna")
    Voter("anna", anna, "twenty").step()
    status, given = anna.post("/reviews/twenty/back")
    assert (status, given["item"], given["attempt"]) == (200, 0, 1)
    anna.post("/reviews/twenty/reveal", {"item": 0})
    corrected = {**ballot("anna", given), "label": "na", "categories": []}
    assert anna.post("/reviews/twenty/vote", corrected)[0] == 200
    assert anna.post("/reviews/twenty/next")[1]["item"] == 1


WRONG: list[dict[str, Any]] = [
    {"label": "nice"},
    {"label": "unsafe", "categories": []},
    {"label": "unsafe", "categories": ["weather"]},
    {"label": "safe", "categories": ["violence"]},
    {"label": "escalate", "reason": " "},
    {"label": "safe", "severity": 9},
    {"item": 7, "label": "safe"},
    {"item": -1, "label": "safe"},
    {"label": None},
]


def test_a_vote_that_no_count_could_use_is_refused(app: ServedApp) -> None:
    begin(app)
    anna = app.client("anna")
    anna.post("/reviews/twenty/next")
    anna.post("/reviews/twenty/reveal", {"item": 0})
    for wrong in WRONG:
        vote = {"item": 0, "attempt": 0, "categories": [], **wrong}
        assert anna.post("/reviews/twenty/vote", vote)[0] in (400, 409), wrong
    assert anna.post("/reviews/twenty/next")[1]["done"] == 0


def test_nobody_votes_on_what_they_have_not_seen_or_were_not_given(app: ServedApp) -> None:
    begin(app)
    anna, ben = app.client("anna"), app.client("ben")
    given = anna.post("/reviews/twenty/next")[1]
    assert anna.post("/reviews/twenty/vote", ballot("anna", given))[1]["code"] == "unseen"
    assert ben.get(f"/picture/{given['key']}")[0] == 403
    assert ben.post("/reviews/twenty/reveal", {"item": 0})[1]["code"] == "not_given"
    assert app.client("carla").post("/reviews/twenty/next")[1]["item"] is None
    assert app.client("lead").post("/reviews/twenty/next")[0] == 403


def test_who_has_seen_enough_is_told_to_stop(app: ServedApp) -> None:
    begin(app)
    voter = Voter("anna", app.client("anna"), "twenty")
    for _ in range(8):
        voter.step()
    given = voter.client.post("/reviews/twenty/next")[1]
    status, told = voter.client.post("/reviews/twenty/reveal", {"item": given["item"]})
    assert (status, told["code"]) == (429, "enough_for_today")


def test_what_is_passed_or_escalated_does_not_count_as_an_opinion(app: ServedApp) -> None:
    begin(app, count=2)
    anna, ben = app.client("anna"), app.client("ben")
    for client in (anna, ben):
        given = client.post("/reviews/twenty/next")[1]
        client.post("/reviews/twenty/reveal", {"item": given["item"]})
        vote = {"item": given["item"], "attempt": 0, "label": "escalate", "reason": "ask the lead"}
        assert client.post("/reviews/twenty/vote", vote)[0] == 200
    given = anna.post("/reviews/twenty/next")[1]
    assert anna.post("/reviews/twenty/vote", {"item": given["item"], "attempt": 0, "label": "skip"})[0] == 200
    assert app.client("carla").post("/reviews/twenty/next")[1]["item"] is None
    page = app.client("lead").get("/reviews")[1]
    assert b"escalated" in page and b"wait for two votes" in page
    assert app.client("lead").post("/reviews/twenty/commit")[1]["items"] == 1


def test_the_picture_alone_and_the_prompt_alone_are_all_that_is_shown(app: ServedApp) -> None:
    begin(app, "pictures", "image")
    begin(app, "prompts", "prompt")
    anna = app.client("anna")
    given = anna.post("/reviews/pictures/next")[1]
    assert given["text"] is None and anna.post("/reviews/pictures/reveal", {"item": 0})[1]["text"] is None
    assert anna.get(f"/picture/{given['key']}?clear")[0] == 200
    given = anna.post("/reviews/prompts/next")[1]
    assert given["picture"] is False and anna.post("/reviews/prompts/reveal", {"item": 0})[1]["text"]
    assert anna.get(f"/picture/{given['key']}?clear")[0] == 403


def test_progress_and_agreement_are_for_those_who_lead(finished: Finished, tmp_path: Path) -> None:
    store, _, _ = finished
    with served_app(store, tmp_path / "tokens") as app:
        page = app.client("lead").get("/reviews")[1].decode()
        assert "kappa of 20" in page and "decided" in page
        assert "kappa" not in app.client("anna").get("/reviews")[1].decode()
