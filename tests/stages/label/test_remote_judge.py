"""The judge behind an address, against a real HTTP server on loopback."""

import json
from dataclasses import replace

import numpy as np
import pytest

from schemas.errors import HazmatError, InputError
from schemas.sample import Sample
from schemas.vote import Vote
from stages.label.remote_judge import RemoteJudge
from stages.remote import chat_client
from tests.support.chat_server import ANSWER, ChatServer, serving


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_client, "LONGEST_PAUSE", 0.01)


def pictures(count: int) -> list[Sample]:
    grey = np.full((8, 8, 3), 128, np.uint8)
    return [
        Sample(key=f"{i:032x}", root=f"{i:032x}", prompt=f"prompt {i}", pixels=grey, batch_row=i) for i in range(count)
    ]


def votes(judge: RemoteJudge, count: int = 1) -> list[Vote]:
    return [vote for sample in judge.open()(pictures(count)) for vote in sample.votes]


def test_the_answer_becomes_a_vote_with_its_cost() -> None:
    with serving(ChatServer()) as server:
        (vote,) = votes(RemoteJudge(model=server.model, asks=("pair",), price_in=2.0, price_out=10.0))
    assert (vote.label, vote.categories, vote.severity, vote.score) == ("unsafe", ("violence",), 2, 0.9)
    assert vote.cost == pytest.approx((100 * 2 + 20 * 10) / 1e6)
    assert vote.annotator == "remote_judge/tiny"


def test_policy_picture_and_text_are_in_the_question_and_the_key_in_the_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAZMAT_JUDGE_KEY", "key-of-a-test")
    with serving(ChatServer()) as server:
        votes(RemoteJudge(model=server.model, asks=("prompt", "image")))
    text, image = sorted(
        server.requests, key=lambda request: "image_url" in json.dumps(request)
    )  # asked at the same time
    assert "Violence." in text["messages"][0]["content"] and '"prompt 0"' in text["messages"][1]["content"][0]["text"]
    assert len(text["messages"][1]["content"]) == 1
    assert image["messages"][1]["content"][0]["image_url"]["url"].startswith("data:image/png;base64,")
    assert "prompt 0" not in json.dumps(image)
    assert server.headers[0]["Authorization"] == "Bearer key-of-a-test"


def test_what_is_busy_is_asked_again_and_the_rest_is_not() -> None:
    with serving(ChatServer(fail_first=2)) as server:
        (vote,) = votes(RemoteJudge(model=server.model, asks=("image",)))
    assert vote.label == "unsafe" and len(server.requests) == 3
    with serving(ChatServer(fail_first=9, fail_status=400)) as server:
        (vote,) = votes(RemoteJudge(model=server.model, asks=("image",)))
    assert vote.label == "skip" and "status 400" in str(vote.reason) and len(server.requests) == 1


def test_one_request_that_fails_for_good_costs_one_vote() -> None:
    with serving(ChatServer(fail_first=1, fail_status=400)) as server:
        cast = votes(RemoteJudge(model=server.model, asks=("image",), concurrency=1), count=3)
    assert [vote.label for vote in cast] == ["skip", "unsafe", "unsafe"]


@pytest.mark.parametrize(
    "answer", ["I will not say", '{"rating": "maybe"}', '{"rating": "unsafe", "categories": ["Z"]}', "{"]
)
def test_an_answer_that_cannot_be_read_is_a_skip_that_repeats_nothing_of_it(answer: str) -> None:
    with serving(ChatServer(answer=answer)) as server:
        (vote,) = votes(RemoteJudge(model=server.model, asks=("image",)))
    assert vote.label == "skip" and "answer" in str(vote.reason) and answer not in str(vote.reason)


def test_a_server_that_fails_on_everything_stops_the_round() -> None:
    with serving(ChatServer(fail_first=99)) as server, pytest.raises(HazmatError, match="all 4 requests failed"):
        votes(RemoteJudge(model=server.model, asks=("image",), attempts=2), count=4)
    with serving(ChatServer(fail_first=99, fail_status=401)) as server, pytest.raises(HazmatError, match="401"):
        votes(RemoteJudge(model=server.model, asks=("image",)))
    assert len(server.requests) == 1


def test_no_more_requests_are_open_at_once_than_allowed() -> None:
    with serving(ChatServer(delay=0.05)) as server:
        votes(RemoteJudge(model=server.model, asks=("image",), concurrency=3), count=9)
    assert len(server.requests) == 9 and server.most_at_once == 3


def test_a_spent_budget_stops_the_worker() -> None:
    with serving(ChatServer()) as server:
        step = RemoteJudge(model=server.model, asks=("image",), price_in=1e4, budget=1.5).open()
        list(step(pictures(2)))
        with pytest.raises(InputError, match="budget"):
            list(step(pictures(2)))


def test_nothing_leaves_this_machine_unless_a_host_is_named() -> None:
    for model in ("http://api.example.org/v1#m", "http://10.0.0.7:8000/v1#m", "http://127.0.0.1.example.org/v1#m"):
        with pytest.raises(InputError, match="not this machine"):
            RemoteJudge(model=model)
    with pytest.raises(InputError, match="https"):
        RemoteJudge(model="http://api.example.org/v1#m", allowed_hosts=("api.example.org",))
    named = RemoteJudge(model="https://api.example.org/v1#m", allowed_hosts=("api.example.org",))
    assert named.address().chat == "https://api.example.org/v1/chat/completions"
    with pytest.raises(InputError, match="not this machine"):
        replace(named, model="https://other.example.org/v1#m")
    with pytest.raises(InputError, match="URL#MODEL"):
        RemoteJudge(model="127.0.0.1:8000")


def test_a_redirect_to_another_host_is_not_followed() -> None:
    elsewhere = ChatServer()
    with serving(elsewhere):
        server = ChatServer(fail_first=9, fail_status=307, location=f"http://127.0.0.1:{elsewhere.port}/")
        with serving(server), pytest.raises(HazmatError, match="307"):
            votes(RemoteJudge(model=server.model, asks=("image",)))
    assert elsewhere.requests == []


def test_the_answer_of_the_test_server_is_what_the_judge_asks_for() -> None:
    assert set(ANSWER) == {"rating", "categories", "severity", "score"}
