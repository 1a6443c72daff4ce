"""The server is killed between votes, after votes and while votes become a round: none is lost, none is there twice."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from jobs import label, verify
from pipeline.rounds.audit_log import entries
from tests.classifiers.review_app.test_review import until_committed
from tests.support.commands import call
from tests.support.served_app import AppProcess, ServedApp, run_to_look_at
from tests.support.voters import DIFFERENT, ITEMS, Voter


@pytest.mark.slow
def test_a_killed_server_loses_no_vote_and_has_none_twice(tmp_path: Path) -> None:
    """20 items, three people, three SIGKILLs; after each the people go on with the cookies that they had."""
    store = run_to_look_at(tmp_path / "run")
    server = AppProcess(tmp_path / "run", tmp_path / "app.tokens")
    app = server.start()
    assert app.client().get("/gallery")[0] == 401
    body = {"name": "twenty", "scope": "pair", "count": ITEMS, "view": ""}
    assert app.client("lead").post("/reviews/new", body)[0] == 201
    voters = {name: Voter(name, app.client(name), "twenty") for name in ("anna", "ben", "carla")}

    def restarted(again: dict[str, Any] | None = None) -> ServedApp:
        server.kill()
        new = server.start()
        for voter in voters.values():
            voter.client.port = new.port
        if again is not None:  # the answer was lost with the server, so the browser sends the vote again
            status, told = voters["anna"].client.post("/reviews/twenty/vote", again)
            assert status == 200 and told["again"]
        return new

    for _ in range(7):
        sent = voters["anna"].step()
    for _ in range(4):
        voters["ben"].step()
    assert sent is not None
    restarted(sent["vote"])
    assert len(voters["anna"].all()) == ITEMS - 7
    restarted()
    assert len(voters["ben"].all()) == ITEMS - 4
    voters["carla"].all()
    restarted()  # most likely while the votes became a round
    votes = until_committed(store, 2 * ITEMS + len(DIFFERENT))
    server.kill()
    assert len(votes) == 2 * ITEMS + len(DIFFERENT)
    assert max(Counter((vote.key, vote.scope, vote.annotator) for vote in votes).values()) == 1
    assert {entry.action for entry in entries(store)} == {"reveal"}
    assert call(label, store.url, "--aggregate", "dawid_skene") == 0
    assert call(verify, store.url) == 0
