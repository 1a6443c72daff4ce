"""The server answers in the public shape, to whoever has a key, under that key's policy, and to nobody else."""

import http.client
import stat
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import openai
import pytest

from classifiers.saved import build, load
from classifiers.serving import remote_pictures
from classifiers.serving.limits import RequestError, RequestLimits
from classifiers.serving.policies import KeyPolicy, digest_of, read_policies
from classifiers.serving.settings import ServeSettings
from classifiers.serving.verdict_log import logged_rows
from classifiers.serving.verdicts import ServedModels
from pipeline.storage.weights import model_directory
from schemas.errors import InputError
from schemas.taxonomy import UNSAFEBENCH
from stages.world.draw import Pictures, draw
from stages.world.scene import compose
from tests.support.served import data_url, post, served

PROBE = str(model_directory("assets/world/linear_probe"))


def scene(name: str) -> np.ndarray:
    return draw(compose(np.random.default_rng(3), (name,)), Pictures.load())


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> ServeSettings:
    """A probe of pictures, and an untrained classifier of pairs that has heads for each side."""
    folder = tmp_path_factory.mktemp("served")
    build("multimodal", model_directory("assets/world/clip")).save(folder / "pairs")
    policies = {
        digest_of("key"): KeyPolicy(),
        digest_of("health"): KeyPolicy(name="health", categories=("health",)),
        digest_of("strict"): KeyPolicy(name="strict", thresholds={"spam": 0.0}),
    }
    return ServeSettings(models=(PROBE, str(folder / "pairs")), policies=policies, log=str(folder / "log.jsonl"))


@pytest.fixture(scope="module")
def port(settings: ServeSettings) -> Iterator[int]:
    with served(settings) as found:
        yield found


def test_the_official_client_moderates_text_pictures_and_both(port: int) -> None:
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="key", max_retries=0)
    pistol, apple = (
        client.moderations.create(
            model="omni-moderation-latest",
            input=[{"type": "image_url", "image_url": {"url": data_url(scene(name))}}],
        ).results[0]
        for name in ("pistol", "apple")
    )
    assert pistol.flagged and pistol.categories.violence and not apple.flagged
    expected = load(PROBE).predict(None, [scene("pistol")])
    assert pistol.category_scores.violence == pytest.approx(expected.categories["image"]["violence"][0], abs=1e-5)
    assert pistol.category_applied_input_types.violence == ["image"]
    assert pistol.category_applied_input_types.sexual_minors == [] and pistol.categories.sexual_minors is False
    texts = client.moderations.create(input=["a red apple", "a dog"]).results
    assert len(texts) == 2 and texts[0].category_applied_input_types.violence == ["text"]
    both = client.moderations.create(
        input=[{"type": "text", "text": "a dog"}, {"type": "image_url", "image_url": {"url": data_url(scene("dog"))}}]
    ).results
    assert len(both) == 1 and both[0].category_applied_input_types.violence == ["text", "image"]


def test_without_a_known_key_nothing_is_answered_but_that_it_lives(port: int) -> None:
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=str(port), max_retries=0).models.list()
    client = http.client.HTTPConnection("127.0.0.1", port)
    for path, status in (("/healthz", 200), ("/metrics", 401), ("/v1/models", 401), ("/nowhere", 404)):
        client.request("GET", path)
        answer = client.getresponse()
        answer.read()
        assert answer.status == status, path


def test_judge_says_by_scope_who_decided(port: int) -> None:
    status, told = post(port, "/v1/judge", {"rows": [{"prompt": "a dog", "image": data_url(scene("dog"))}]})
    assert status == 200 and {*told["results"][0]["scopes"]} == {"pair"}
    status, told = post(port, "/v1/judge", {"image": data_url(scene("bomb"))})
    assert told["results"][0]["scopes"]["image"]["decided_by"] == "linear_probe"


def test_a_key_has_its_own_scope_and_thresholds(port: int) -> None:
    asked = {"image": data_url(scene("pistol"))}
    flagged = {key: post(port, "/v1/judge", asked, key)[1]["results"][0] for key in ("key", "health", "strict")}
    assert flagged["key"]["flagged"] and not flagged["health"]["flagged"]
    assert "spam" in flagged["strict"]["flagged_categories"] and "spam" not in flagged["key"]["flagged_categories"]


def test_what_is_answered_is_counted_and_logged_for_its_owner_alone(port: int, settings: ServeSettings) -> None:
    post(port, "/v1/judge", {"prompt": "a red apple"})
    client = http.client.HTTPConnection("127.0.0.1", port)
    client.request("GET", "/metrics", headers={"Authorization": "Bearer key"})
    assert 'hazmat_requests_total{path="/v1/judge",status="200"}' in client.getresponse().read().decode()
    log = Path(settings.log or "")
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert list(logged_rows(log))[-1].text == "a red apple"


def test_a_bad_picture_costs_its_own_request_alone(port: int) -> None:
    damaged = data_url(scene("dog"))[:-900] + "=" * 0
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda url=url: answers.append(post(port, "/v1/judge", {"image": url})[0]))
        for url in (damaged[: len(damaged) - len(damaged.partition(",")[2]) % 4], *[data_url(scene("dog"))] * 4)
    ]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(answers) == [200, 200, 200, 200, 400]


def test_a_side_that_nobody_reads_is_refused_and_not_passed_over() -> None:
    from classifiers.serving.requests import Asked

    bench = ServedModels([load(PROBE)])
    with pytest.raises(RequestError, match="judges a prompt by itself"):
        bench.judges_of(Asked("a text", b"a picture"))


def test_overload_is_shed_with_429_and_does_not_last(settings: ServeSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = ServedModels.judge

    def judge(self: ServedModels, rows: Sequence[object]) -> object:
        time.sleep(0.2)
        return slow(self, rows)  # type: ignore[arg-type]

    monkeypatch.setattr(ServedModels, "judge", judge)
    small = ServeSettings(models=settings.models, policies=settings.policies, limits=RequestLimits(queue=4, batch=2))
    with served(small) as port:
        answers: list[int] = []
        ask = lambda: answers.append(post(port, "/v1/judge", {"prompt": "a dog"})[0])  # noqa: E731
        threads = [threading.Thread(target=ask) for _ in range(40)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert {*answers} == {200, 429} and answers.count(200) >= 4
        assert post(port, "/v1/judge", {"prompt": "a dog"})[0] == 200


@pytest.mark.parametrize("address", ["10.0.0.1", "127.0.0.1", "169.254.169.254", "::1", "fd00::1", "0.0.0.0"])
def test_no_address_within_the_network_is_fetched_whatever_its_name(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_pictures.socket, "getaddrinfo", lambda *_, **__: [(0, 0, 0, "", (address, 443))])
    monkeypatch.setattr(remote_pictures, "_connected", lambda *_: pytest.fail("it was connected to"))
    with pytest.raises(RequestError, match="within this network"):
        remote_pictures.fetch("https://pictures.example/one.png", frozenset({"pictures.example"}), RequestLimits())


@pytest.mark.parametrize(
    "url", ["https://other.example/", "http://pictures.example/", "file:///etc/passwd", "https://u:p@pictures.example/"]
)
def test_only_hosts_that_were_named_are_asked(url: str) -> None:
    with pytest.raises(RequestError, match="taken as data: URLs"):
        remote_pictures.fetch(url, frozenset({"pictures.example"}), RequestLimits())


@pytest.mark.parametrize("wrong", [
    '{"keys": [{"name": "a", "key_sha256": "12"}]}', '{"keys": 3}', "nothing",
    '{"keys": [{"name": "a", "key_sha256": "%s", "categories": ["nudes"]}]}' % ("0" * 64),
    '{"keys": [{"name": "a", "key_sha256": "%s", "threshold": 2}]}' % ("0" * 64),
])  # fmt: skip
def test_a_policy_that_cannot_be_meant_is_refused(wrong: str, tmp_path: Path) -> None:
    (tmp_path / "policies.json").write_text(wrong)
    with pytest.raises(InputError, match="--policies"):
        read_policies(tmp_path / "policies.json", UNSAFEBENCH.ids)
