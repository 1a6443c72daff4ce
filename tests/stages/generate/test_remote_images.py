"""Generators behind an address, against real servers on loopback: a faulty one, and our own."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.faulty_images import FaultyImages, faulty
from classifiers.saved import embedded
from classifiers.serving.policies import KeyPolicy, digest_of
from classifiers.serving.settings import ServeSettings
from pipeline.stage import BadSamplesError
from pipeline.storage.image_codec import decode
from pipeline.storage.weights import REPOSITORY
from schemas.errors import HazmatError, InputError
from schemas.prompt import Prompt
from schemas.sample import Sample
from stages.generate.mixture import Mixture, Part
from stages.generate.remote_images import RemoteImages
from stages.generate.render import Render
from stages.remote import bounded_transport
from tests.support.served import served

ALLOWED = ("images.example.org",)


def samples(count: int, asked: str | None = None) -> list[Sample]:
    made = [Sample.from_prompt(Prompt(f"thing {number}", settings=asked), 0) for number in range(count)]
    return [sample.with_(batch_row=row) for row, sample in enumerate(made)]


@pytest.fixture
def server() -> Iterator[FaultyImages]:
    with faulty(FaultyImages()) as running:
        yield running


def drawn(stage: RemoteImages, batch: list[Sample]) -> list[Sample]:
    return list(stage.open()(batch))


def test_a_row_says_what_was_asked_for_what_it_cost_and_that_it_cannot_be_made_again(server: FaultyImages) -> None:
    server.usage = {"input_tokens": 10, "output_tokens": 200, "total_tokens": 210}
    stage = RemoteImages(
        model=server.model, steps=4, guidance_scale=2.5, negative_prompt="fog", price=0.01, price_out=50.0
    )
    (made,) = drawn(stage, samples(1))
    (asked,) = server.asked
    assert asked["num_inference_steps"] == 4 and asked["guidance_scale"] == 2.5 and asked["negative_prompt"] == "fog"
    assert asked["model"] == "tiny" and asked["seed"] == made.seed and asked["response_format"] == "b64_json"
    assert np.array_equal(made.pixels, decode(server.picture("thing 0", made.seed)))  # type: ignore[arg-type]
    assert made.cost == pytest.approx(0.01 + 200 * 50 / 1e6)
    assert (made.generator, made.revision, made.steps) == (server.model, "unverifiable", 4) and stage.level == "L0"


def test_a_refusal_is_a_result_and_repeats_nothing_of_what_the_service_said() -> None:
    with faulty(FaultyImages(refuses=1.0)) as server:
        made = drawn(RemoteImages(model=server.model), samples(5))
    assert {sample.refused for sample in made} == {"content_policy"} and all(sample.pixels is None for sample in made)
    assert server.did == {"refuses": 5}, "a refusal is not asked again"


@pytest.mark.parametrize("fault", ["throttles", "drops", "garbles"])
def test_what_passes_is_asked_again(fault: str) -> None:
    with faulty(FaultyImages(**{fault: 1.0})) as server:
        made = drawn(RemoteImages(model=server.model), samples(2))
    assert all(sample.pixels is not None for sample in made) and server.did == {fault: 2, "draws": 2}


def test_what_fails_for_good_costs_one_sample_and_the_others_are_paid_once() -> None:
    with faulty(FaultyImages(garbles=0.3, lasting=1)) as server:
        batch = samples(12)
        bad = {sample.key for sample in batch if server.fate(sample.prompt) == "garbles"}
        step = RemoteImages(model=server.model).open()
        with pytest.raises(BadSamplesError) as raised:
            list(step(batch))
        assert set(raised.value.reasons) == bad and 0 < len(bad) < 12
        assert all("answers without a picture" in reason for reason in raised.value.reasons.values())
        made = list(step([sample for sample in batch if sample.key not in bad]))
    assert len(made) == 12 - len(bad) == server.did["draws"]


def test_a_service_that_is_down_or_set_up_wrongly_stops_the_run_and_no_sample_is_blamed() -> None:
    with (
        faulty(FaultyImages(garbles=1.0, lasting=1)) as server,
        pytest.raises(HazmatError, match="all 4 requests failed"),
    ):
        drawn(RemoteImages(model=server.model), samples(4))
    for status in (401, 307):
        elsewhere = "http://127.0.0.1:9/"
        with faulty(FaultyImages(status=status, location=elsewhere)) as server:
            with pytest.raises(HazmatError, match=f"answers {status}; check URL, model and HAZMAT_GENERATOR_KEY"):
                drawn(RemoteImages(model=server.model), samples(1))
            assert len(server.asked) == 1


def test_no_more_requests_are_open_than_allowed(server: FaultyImages) -> None:
    server.delay = 0.05
    drawn(RemoteImages(model=server.model, concurrency=3), samples(9))
    assert server.most_at_once == 3


def test_an_answer_is_bounded_in_bytes_and_may_not_be_packed(
    server: FaultyImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = RemoteImages(model=server.model, attempts=1)
    monkeypatch.setattr(bounded_transport, "MAX_ANSWER", 100)
    with pytest.raises(BadSamplesError, match="1 tries failed; the last: ReadError"):
        drawn(stage, samples(1))
    monkeypatch.undo()
    server.headers["Content-Encoding"] = "gzip"
    with pytest.raises(BadSamplesError, match="ReadError"):
        drawn(stage, samples(1))


def test_the_key_is_of_the_environment_and_in_nothing_that_is_written(
    server: FaultyImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAZMAT_GENERATOR_KEY", "key-of-a-test")
    monkeypatch.setenv("OPENAI_API_KEY", "another")
    monkeypatch.setenv("OPENAI_ORG_ID", "ours")
    stage = RemoteImages(model=server.model)
    (made,) = drawn(stage, samples(1))
    assert server.keys == ["Bearer key-of-a-test"]
    assert "key-of-a-test" not in json.dumps(stage.describe()) + repr(made)
    assert stage.describe() == replace(stage, concurrency=2, attempts=9, allowed_hosts=ALLOWED).describe()


def test_another_size_than_was_asked_for_is_the_samples_fault(server: FaultyImages) -> None:
    server.side = 24
    (made,) = drawn(RemoteImages(model=server.model, size=24), samples(1))
    assert server.asked[0]["size"] == "24x24" and made.pixels is not None
    with pytest.raises(BadSamplesError, match="24x24 was drawn where 32x16 was asked for"):
        drawn(RemoteImages(model=server.model), samples(1, json.dumps({"size": [32, 16]})))


def test_addresses_and_settings_that_cannot_be_had_are_refused_before_anything_is_asked() -> None:
    for model, said in (
        ("openai:https://images.example.com/v1", "HAZMAT_ALLOWED_HOSTS=images.example.com"),
        ("openai:http://images.example.org/v1", "over https"),
        ("openai:http://me:secret@127.0.0.1/v1", "a password or a query"),  # pragma: allowlist secret
        ("openai:127.0.0.1:80", "expected URL or URL#MODEL"),
    ):
        with pytest.raises(InputError, match=said) as raised:
            RemoteImages(model=model, allowed_hosts=ALLOWED)
        assert "secret" not in str(raised.value)
    hosted = RemoteImages(model="openai:https://images.example.org/v1#gpt-image-1", allowed_hosts=ALLOWED)
    for stage, asked, said in (
        (hosted, {"steps": 4}, "steps 4: a generator behind"),
        (RemoteImages(model="openai:http://127.0.0.1/v1"), {"dtype": "float32"}, "dtype float32"),
    ):
        with pytest.raises(InputError, match=said):
            stage.check_row(json.dumps(asked))


def test_a_hosted_model_is_sent_the_public_fields_only(server: FaultyImages) -> None:
    (made,) = drawn(RemoteImages(model=server.model.replace("#tiny", "#gpt-image-1"), size=16), samples(1))
    assert set(server.asked[0]) == {"prompt", "model", "size", "n"} and made.seed is None


def test_an_address_is_one_part_of_a_mixture(server: FaultyImages) -> None:
    mixture = Mixture(parts=(Part(RemoteImages(model=server.model), 1), Part(Render(), 1)))
    prompts = [
        Sample.from_prompt(Prompt(f"a picture of {what}"), 0) for what in ("an apple", "a dog", "a house", "a key")
    ]
    made = list(mixture.open()(prompts))
    assert {sample.generator for sample in made} == {server.model, "render/noto"} and mixture.level == "L0"


@pytest.mark.slow
def test_our_own_server_draws_and_its_guards_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAZMAT_GENERATOR_KEY", "key")
    text = str(embedded("embedded:text"))
    settings = ServeSettings(
        models=(text,), policies={digest_of("key"): KeyPolicy()}, generator=str(Path(REPOSITORY) / "assets/world/t2i")
    )
    batch = [Sample.from_prompt(Prompt(text), 0) for text in ("an apple on a red ground", "a pistol ready for a fight")]
    with served(settings) as port:
        stage = RemoteImages(model=f"openai:http://127.0.0.1:{port}/v1", steps=2, size=64, concurrency=1)
        made = list(stage.open()([sample.with_(batch_row=row) for row, sample in enumerate(batch)]))
    apple, pistol = made
    assert apple.refused is None and apple.pixels is not None and apple.pixels.shape == (64, 64, 3)
    assert pistol.refused == "content_policy"
