"""Pictures on request by the official client: what guards let by is a PNG, what they stop is a refusal with where and when."""

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np
import openai
import pytest

from classifiers.saved import load
from classifiers.serving.policies import KeyPolicy, digest_of
from classifiers.serving.settings import ServeSettings
from pipeline.storage.image_codec import decode
from tests.support.served import served

PROBE, TEXT = "assets/world/linear_probe", "embedded:text"
STEPS = {"num_inference_steps": 8, "seed": 0}


@pytest.fixture(scope="module")
def client() -> Iterator[openai.OpenAI]:
    settings = ServeSettings(
        models=(TEXT, PROBE), policies={digest_of("key"): KeyPolicy()}, generator="assets/world/t2i"
    )
    with served(settings) as port:
        known = "key"
        yield openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=known, max_retries=0)


def drawn(client: openai.OpenAI, prompt: str, **more: Any) -> openai.types.ImagesResponse:
    return client.images.generate(prompt=prompt, model="hazmat", extra_body=STEPS, **more)


def refusal(client: openai.OpenAI, prompt: str) -> dict[str, Any]:
    with pytest.raises(openai.BadRequestError) as stopped:
        drawn(client, prompt)
    assert stopped.value.code == "moderation_blocked"
    body = stopped.value.body
    assert isinstance(body, dict) and len(body["refusals"]) == 1
    assert f"stopped by the {body['refusals'][0]['where']} guard after step" in body["message"]
    return dict(body["refusals"][0])


def test_the_official_client_gets_pictures_that_pass(client: openai.OpenAI) -> None:
    answer = drawn(client, "a red apple", n=2, size="64x64", response_format="b64_json")
    assert answer.data is not None and len(answer.data) == 2 and answer.created > 0
    first, second = (decode(base64.b64decode(each.b64_json or "")) for each in answer.data)
    assert first.shape == (64, 64, 3) and not np.array_equal(first, second), "each has a seed of its own"
    again = drawn(client, "a red apple", n=2, size="64x64").data
    assert again is not None and [each.b64_json for each in again] == [each.b64_json for each in answer.data]


def test_a_prompt_that_is_stopped_says_that_nothing_was_computed(client: openai.OpenAI) -> None:
    words = load(TEXT)
    unsafe = [f"a {thing}" for thing in ("bomb", "pistol", "skull", "dagger")]
    flagged = [prompt for prompt, flag in zip(unsafe, words.predict(unsafe).flagged, strict=True) if flag]
    assert flagged, "the shipped classifier of prompts knows one of them"
    told = refusal(client, flagged[0])
    assert (told["where"], told["step"], told["saved_steps"]) == ("text", 0, 8) and told["unsafe"] > words.threshold


def test_a_picture_that_is_stopped_says_after_which_step(client: openai.OpenAI) -> None:
    passing = [prompt for prompt in PICTURED if not load(TEXT).predict([prompt]).flagged[0]]
    told = [row for row in (stopped_or_none(client, prompt) for prompt in passing) if row is not None]
    assert told, "the probe stops one of those whose words pass"
    assert all((row["where"], row["step"], row["saved_steps"], row["steps"]) == ("image", 8, 0, 8) for row in told)
    assert all(row["category"] and 0 < row["unsafe"] <= 1 for row in told)


PICTURED = ("a pistol", "a skull", "a cigarette", "a slot machine")


def stopped_or_none(client: openai.OpenAI, prompt: str) -> dict[str, Any] | None:
    try:
        drawn(client, prompt)
    except openai.BadRequestError as error:
        assert isinstance(error.body, dict)
        return dict(error.body["refusals"][0])
    return None


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"size": "63x64"}, "multiples of 8"),
        ({"size": "4096x4096"}, "up to 1024"),
        ({"n": 99}, "n is a whole number from 1 to 4"),
        ({"response_format": "url"}, "response_format is b64_json"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_a_line(client: openai.OpenAI, more: dict[str, Any], message: str) -> None:
    with pytest.raises(openai.BadRequestError, match=message):
        drawn(client, "a red apple", **more)
