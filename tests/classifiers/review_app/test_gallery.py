"""The gallery: every sample is on one page of every order, counts are those of the run, nothing leaves before it was asked for."""

import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from classifiers.review_app import gallery_questions as questions
from classifiers.review_app.gallery_table import GalleryTable, gallery_table
from classifiers.review_app.gallery_view import FACETS, GalleryView, view_of
from classifiers.serving.limits import RequestError
from jobs import label, query, revoke
from jobs.command.keys import read_keys
from pipeline.catalogue.views import refresh
from pipeline.dataset.audit import Audit
from pipeline.dataset.audit_log_checks import check_audit_log
from pipeline.rounds.audit_log import entries
from pipeline.storage.local_store import LocalStore
from tests.support.commands import call
from tests.support.served_app import AppClient, ServedApp, run_to_look_at, served_app


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    store = run_to_look_at(tmp_path_factory.mktemp("gallery") / "our-project")
    refresh(store)
    return store


@pytest.fixture(scope="module")
def table(store: LocalStore) -> Iterator[GalleryTable]:
    with gallery_table(store) as table:
        yield table


@pytest.fixture(scope="module")
def app(store: LocalStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApp]:
    with served_app(store, tmp_path_factory.mktemp("tokens") / "app.tokens") as served:
        yield served


def samples(store: LocalStore) -> list[dict[str, object]]:
    return pq.read_table(store.path("catalogue/samples.parquet")).to_pylist()


@pytest.mark.parametrize("sort", ["key", "disagreement", "margin"])
def test_every_sample_is_on_one_page_of_every_order(
    table: GalleryTable, store: LocalStore, sort: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "PAGE", 5)
    view: GalleryView | None = view_of([("sort", sort)], ["text"])
    walked: list[str] = []
    whole = list(questions.keys(table, view))
    while view is not None:
        page = questions.page(table, view)
        walked += [row["key"] for row in page.rows]
        pairs = re.findall(r"([^&=]+)=([^&]*)", page.following or "")
        view = view_of([(name, value.replace("%7E", "~")) for name, value in pairs], ["text"]) if pairs else None
    assert walked == whole and sorted(walked) == sorted(str(row["key"]) for row in samples(store))


def test_facets_count_what_the_run_holds(table: GalleryTable, store: LocalStore) -> None:
    counts = questions.facet_counts(table, GalleryView())
    rows = samples(store)
    assert counts["source"] and set(counts) == set(FACETS)
    for facet in ("source", "split", "generator", "category"):
        said = {None if value == "(none)" else value: number for value, number in counts[facet]}
        assert said == {value: sum(row[facet] == value for row in rows) for value in {row[facet] for row in rows}}


def test_a_chosen_facet_still_counts_its_other_values(table: GalleryTable) -> None:
    whole = questions.facet_counts(table, GalleryView())
    narrowed = questions.facet_counts(table, GalleryView(facets=(("label", ("safe",)),)))
    assert narrowed["label"] == whole["label"] and sum(n for _, n in narrowed["source"]) == dict(whole["label"])["safe"]


def test_words_are_found_in_the_prompt_whatever_their_capitals(table: GalleryTable, store: LocalStore) -> None:
    word = str(samples(store)[0]["prompt"]).split()[-1]
    wanted = {row["key"] for row in samples(store) if word.lower() in str(row["prompt"]).lower()}
    assert set(questions.keys(table, GalleryView(text=word.upper()))) == wanted


def test_the_histogram_and_the_cells_of_the_confusion_matrix_agree(table: GalleryTable) -> None:
    view = view_of([("sort", "margin")], ["text"])
    safe, unsafe = questions.histogram(table, view)
    for at in (0.0, 0.5, 0.845, 1.0):
        cell = {
            error: len(list(questions.keys(table, replace(view, error=error, threshold=at))))
            for error in ("tp", "fp", "fn", "tn")
        }
        step = round(at * questions.BINS)
        assert (cell["tp"], cell["fp"]) == (sum(unsafe[step:]), sum(safe[step:]))
        assert sum(cell.values()) == sum(safe) + sum(unsafe) > 0


@pytest.mark.parametrize(
    "parameters",
    [
        [("colour", "red")],
        [("sort", "size")],
        [("threshold", "nan")],
        [("error", "fp; DROP TABLE gallery")],
        [("after", "x~y")],
        [("q", "word " * 9)],
        [("scorer", "nobody")],
    ],
)
def test_an_address_that_is_no_view_is_refused_by_name(parameters: list[tuple[str, str]]) -> None:
    with pytest.raises(RequestError) as refused:
        view_of(parameters, ["text"])
    assert refused.value.status == 400


def test_a_value_from_the_address_is_never_sql(table: GalleryTable) -> None:
    for value in ("' OR 1=1 --", "(none)'", "\x00"):
        assert list(questions.keys(table, GalleryView(facets=(("source", (value,)),)))) == []
    assert list(questions.keys(table, GalleryView(text="%"))) == []


def test_a_view_is_its_address(table: GalleryTable) -> None:
    view = GalleryView(facets=(("label", ("safe", "na")),), text="a b", scorer="text", threshold=0.25, sort="margin")
    pairs = [tuple(part.split("=")) for part in view.address().replace("+", " ").split("&")]
    assert view_of(pairs, ["text"]) == view  # type: ignore[arg-type]


def _sharpness(data: bytes) -> float:
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("L"), float)
    return float(np.abs(np.diff(pixels)).max())


def _prompts(store: LocalStore) -> list[str]:
    return [str(row["prompt"]) for row in samples(store)]


def test_no_unmasked_byte_leaves_before_a_reveal(app: ServedApp, store: LocalStore) -> None:
    lead = app.client("lead")
    variant = next(str(row["key"]) for row in samples(store) if row["parent"] and row["attack"])
    key = str(samples(store)[0]["key"])
    pages = ("/gallery", "/thresholds", "/map", "/map.json", "/audit", "/reviews", f"/similar/{key}")
    before = len(list(entries(store)))
    for page in (*pages, f"/sample/{key}", f"/sample/{variant}", "/gallery?q=a&sort=disagreement"):
        status, body = lead.get(page)
        assert status == 200, (page, body)
        assert not [text for text in _prompts(store) if text.encode() in body], page
    assert lead.get(f"/picture/{key}?clear")[0] == lead.get(f"/difference/{variant}")[0] == 403
    masked = lead.get(f"/picture/{key}")[1]
    assert _sharpness(masked) < 20
    assert len(list(entries(store))) == before
    status, told = lead.post("/reveal", {"keys": [key], "why": "a test"})
    assert status == 200 and told["texts"] == {key: samples(store)[0]["prompt"]}
    *_, entry = entries(store)
    assert (entry.action, entry.person, entry.details["keys"]) == ("reveal", "lead", [key])
    assert _sharpness(lead.get(f"/picture/{key}?clear")[1]) > 2 * _sharpness(masked)
    assert str(samples(store)[0]["prompt"]).encode() in lead.get(f"/sample/{key}")[1]
    lead.post("/hide", {"keys": [key]})
    assert lead.get(f"/picture/{key}?clear")[0] == 403


def test_what_one_reveals_stays_masked_for_others(app: ServedApp, store: LocalStore) -> None:
    key = str(samples(store)[1]["key"])
    app.client("lead").post("/reveal", {"keys": [key]})
    olga = app.client("olga")
    assert olga.get(f"/picture/{key}?clear")[0] == 403
    assert olga.get("/gallery")[0] == 200 and not [p for p in _prompts(store) if p.encode() in b"".join(olga.seen)]


def test_a_variant_shows_what_was_changed_once_both_are_revealed(app: ServedApp, store: LocalStore) -> None:
    lead = app.client("lead")
    known = {row["key"] for row in samples(store)}
    row = next(row for row in samples(store) if row["attack"] and row["parent"] in known)
    lead.post("/reveal", {"keys": [row["key"], row["parent"]]})
    page = lead.get(f"/sample/{row['key']}")[1]
    assert b"<ins>" in page and b"/difference/" in page
    assert lead.get(f"/difference/{row['key']}")[0] == 200


@pytest.mark.parametrize(
    ("name", "refused", "allowed"),
    [
        ("anna", ["/gallery", "/audit", "/keys.txt", "/map.json", "/thresholds"], ["/reviews"]),
        ("olga", ["/keys.txt", "/reviews/x"], ["/gallery", "/audit", "/reviews", "/map.json"]),
        ("lead", ["/reviews/x"], ["/gallery", "/audit", "/keys.txt"]),
    ],
)
def test_everybody_may_do_what_their_role_says(
    app: ServedApp, name: str, refused: list[str], allowed: list[str]
) -> None:
    client = app.client(name)
    assert [client.get(path)[0] for path in refused] == [403] * len(refused)
    assert [client.get(path)[0] for path in allowed] == [200] * len(allowed)
    if name != "lead":
        assert client.post("/reveal", {"keys": ["x"]})[0] == client.post("/reviews/new", {})[0] == 403


def test_a_page_without_a_token_is_refused_and_says_nothing_of_the_run(app: ServedApp) -> None:
    stranger = app.client()
    for path in ("/", "/gallery", "/sample/x", "/picture/x", "/map.json", "/keys.txt", "/reviews", "/audit"):
        status, body = stranger.get(path)
        assert status == 401 and b"our-project" not in body, path
    assert stranger.post("/reveal", {"keys": []})[0] == 401
    assert stranger.get("/enter?token=guessed")[0] == 401
    stranger.cookie = "hazmat_app=" + "0" * 64
    assert stranger.get("/gallery")[0] == 401


def test_headers_keep_a_page_to_itself(app: ServedApp) -> None:
    client = AppClient(app.port)
    _, _, headers = client.ask("GET", f"/enter?token={app.tokens['lead']}")
    cookie = headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie and app.tokens["lead"].lower() not in cookie
    for path in ("/gallery", "/static/app.css", "/nothing"):
        _, _, headers = app.client("lead").ask("GET", path)
        assert (
            headers["content-security-policy"].startswith("default-src 'self';")
            and headers["cache-control"] == "no-store"
        )
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Content-Type": "text/plain"}, 415),
    ],
)
def test_another_sites_page_can_send_nothing(app: ServedApp, headers: dict[str, str], status: int) -> None:
    assert app.client("lead").ask("POST", "/reveal", {"keys": []}, headers)[0] == status


@pytest.mark.parametrize("body", [[], {"keys": "x"}, {"keys": [1]}, {"keys": ["x"] * 2000}, "x" * 300_000])
def test_a_body_that_is_no_request_is_refused(app: ServedApp, body: object) -> None:
    assert app.client("lead").post("/reveal", body)[0] in (400, 413)


def test_keys_of_a_view_are_a_list_that_commands_take(
    app: ServedApp, store: LocalStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, body = app.client("lead").get("/keys.txt?label=unsafe")
    (tmp_path / "keys.txt").write_bytes(body)
    wanted = {row["key"] for row in samples(store) if (row["pair_label"] or row["image_label"]) == "unsafe"}
    assert status == 200 and read_keys(tmp_path / "keys.txt") == wanted
    *_, entry = entries(store)
    assert (entry.action, entry.person, entry.details["view"]) == ("export", "lead", "label=unsafe")
    audit = Audit(store)
    check_audit_log(audit)
    assert audit.problems == []
    sql = "SELECT count(*) AS found FROM samples JOIN keys USING (key)"
    assert call(query, store.url, sql, "--keys", tmp_path / "keys.txt", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out) == [{"found": len(wanted)}]
    tasks = tmp_path / "tasks.json"
    some = sorted(wanted)[:4]
    (tmp_path / "some.txt").write_text("\n".join(some))
    assert call(label, store.url, "--export", tasks, "--for-review", 500, "--keys", tmp_path / "some.txt") == 0
    assert {task["data"]["key"] for task in json.loads(tasks.read_text())} <= set(some)


def test_revoked_samples_are_gone_from_reviews(tmp_path: Path) -> None:
    store = run_to_look_at(tmp_path / "run")
    with served_app(store, tmp_path / "tokens") as app:
        lead = app.client("lead")
        assert lead.post("/reviews/new", {"name": "one", "scope": "pair", "count": 5, "view": ""})[0] == 201
        first = lead.get("/keys.txt")[1].decode().splitlines()[1]
    (tmp_path / "keys.txt").write_text(first)
    assert call(revoke, store.url, "--keys", tmp_path / "keys.txt") == 0
    assert first.encode() not in b"".join(path.read_bytes() for path in (store.root / "reviews").rglob("*.json"))
    with served_app(store, tmp_path / "tokens") as app:
        assert first.encode() not in app.client("lead").get("/gallery")[1]
