"""Exports as Label Studio writes them: withdrawn, corrected, reviewed, JSON-MIN, predictions only, and of wrong types."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.rounds.audit_log import entries
from pipeline.storage.store import Store
from pipeline.votes.aggregate import aggregate
from pipeline.votes.label_studio import votes_from
from pipeline.votes.labels import Policy, labels_of
from pipeline.votes.read import read_votes
from schemas.errors import InputError
from schemas.taxonomy import UNSAFEBENCH
from schemas.vote import Vote, votes_of, votes_table
from stages.rounds.human_votes import export_tasks, import_votes, sized, withdraw_votes
from tests.pipeline.votes.test_label_studio import EXCHANGE, labelled_run

POLICY = Policy(UNSAFEBENCH.name, UNSAFEBENCH.version, UNSAFEBENCH.ids)
CASES = Path(__file__).parents[2] / "data/cases/label_studio"


def case(name: str, key: str, scope: str = "prompt") -> list[dict[str, Any]]:
    """The tasks of a case, on a sample of one's own."""
    tasks: list[dict[str, Any]] = json.loads((CASES / f"{name}.json").read_text())
    for number, task in enumerate(tasks):
        if number == 0:
            task["data"] |= {"key": key, "scope": scope}
    return tasks


def imported(store: Store, folder: Path, tasks: list[dict[str, Any]]) -> dict[str, object]:
    file = folder / "export.json"
    file.write_text(json.dumps(tasks))
    return import_votes(store, file)


def row_of(store: Store, folder: Path, key: str, scope: str = "prompt") -> dict[str, Any]:
    aggregate(store, "dawid_skene")
    (row,) = (r for r in pq.read_table(folder / "labels.parquet").to_pylist() if (r["key"], r["scope"]) == (key, scope))
    return dict(row)


@pytest.fixture
def run(tmp_path: Path) -> tuple[Store, Path, str]:
    store = labelled_run(tmp_path / "run")
    return store, tmp_path / "run", read_votes(store)[0]["key"].to_pylist()[0]


def test_a_vote_that_is_cancelled_later_is_not_in_force(run: tuple[Store, Path, str], tmp_path: Path) -> None:
    store, folder, key = run
    imported(store, tmp_path, case("vote1", key))
    before = row_of(store, folder, key)
    assert (before["label"], before["decided_by"], before["human_votes"]) == ("unsafe", "human", 1)
    imported(store, tmp_path, case("vote1_cancelled", key))
    after = row_of(store, folder, key)
    assert (after["decided_by"], after["human_votes"], after["skipped"]) == ("machine", 0, 1)


def test_an_annotation_of_several_parts_keeps_all_categories_and_no_second_label(
    run: tuple[Store, Path, str], tmp_path: Path
) -> None:
    store, folder, key = run

    def part(name: str, *choices: str) -> dict[str, Any]:
        return {"from_name": name, "to_name": "text", "type": "choices", "value": {"choices": list(choices)}}

    tasks = case("vote1", key)
    annotation = tasks[0]["annotations"][0]
    annotation["result"] = [part("label", "unsafe"), part("category", "hate"), part("category", "violence", "hate")]
    imported(store, tmp_path, tasks)
    assert row_of(store, folder, key)["categories"] == ["hate", "violence"]
    for both in (
        [part("label", "safe", "unsafe")],
        [part("label", "unsafe"), part("category", "hate"), part("label", "safe")],
    ):
        annotation["result"] = both
        with pytest.raises(InputError, match=r"says .* and .* at once; choose one"):
            imported(store, tmp_path, tasks)


def test_an_import_can_be_taken_back_and_what_was_before_it_counts_again(
    run: tuple[Store, Path, str], tmp_path: Path
) -> None:
    store, folder, key = run
    machine = row_of(store, folder, key)
    first = imported(store, tmp_path, case("vote1", key))
    changed = case("vote1", key)
    changed[0]["annotations"][0]["result"] = [
        {"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": ["safe"]}}
    ]
    changed[0]["annotations"][0]["updated_at"] = "2024-05-03T10:00:00Z"
    second = imported(store, tmp_path, changed)
    assert row_of(store, folder, key)["label"] == "safe"
    for _ in range(2):
        assert withdraw_votes(store, str(second["round"]))["votes"] == 1
        assert (row_of(store, folder, key)["label"], row_of(store, folder, key)["human_votes"]) == ("unsafe", 1)
    withdraw_votes(store, str(first["round"]))
    again = row_of(store, folder, key)
    assert (again["label"], again["human_votes"]) == (machine["label"], 0)
    with pytest.raises(InputError, match="no round of people's votes; those are rounds/"):
        withdraw_votes(store, "rounds/000-generate")


def test_a_null_result_of_a_cancelled_annotation_is_a_pass() -> None:
    votes = votes_from((CASES / "null_result.json").read_text(), EXCHANGE).votes
    assert [(vote.annotator, vote.label) for vote in votes] == [("person-1", "skip"), ("person-1", "safe")]


def one(person: int, label: str, minute: int, **more: Any) -> dict[str, Any]:
    parts = [("label", label), *([("category", "hate")] if label == "unsafe" else [])]
    result = [{"from_name": n, "to_name": "text", "type": "choices", "value": {"choices": [v]}} for n, v in parts]
    at = f"2024-05-01T10:{minute:02d}:00.000000Z"
    return {"id": minute, "completed_by": person, "created_at": at, "updated_at": at, "result": result, **more}


def export(*annotations: dict[str, Any], **more: Any) -> str:
    return json.dumps([{"id": 1, "data": {"key": "k", "scope": "pair"}, "annotations": list(annotations), **more}])


def test_a_corrected_vote_counts_corrected_and_both_agreements_are_shown(tmp_path: Path) -> None:
    from pipeline.votes.agreement import agreement_table

    before = votes_from(export(one(1, "unsafe", 1), one(2, "safe", 2)), EXCHANGE).votes
    fixed = one(1, "safe", 1, updated_at="2024-05-02T10:00:00Z")
    after = votes_from(export(fixed, one(2, "safe", 2)), EXCHANGE).votes
    table = votes_table([*before, *after])
    (label,) = (row for row in labels_of(table, "majority", POLICY).to_pylist())
    assert (label["label"], label["human_votes"], label["agreement"]) == ("safe", 2, 1.0)
    rows = agreement_table(table, table.select(["key"]).append_column("source", [["x"] * 4]), POLICY.categories)
    percent = {row["votes"]: row["percent"] for row in rows.to_pylist() if row["by"] == "all" and row["na"] == "class"}
    assert percent == {"first": 0.0, "last": 1.0}


def test_a_correction_after_the_third_vote_is_no_breach_of_the_protocol() -> None:
    fixed = one(1, "safe", 1, updated_at="2024-05-02T10:00:00Z")
    found = votes_from(export(fixed, one(2, "safe", 2), one(3, "safe", 3)), EXCHANGE)
    assert [vote.blind for vote in found.votes] == [True, True, False] and found.items == {"decided": 1}


@pytest.mark.parametrize("method", ["majority", "dawid_skene"])
@pytest.mark.parametrize("labels", [("unsafe", "safe"), ("safe", "na"), ("unsafe", "safe", "na")])
def test_people_who_disagree_leave_it_undecided(method: str, labels: tuple[str, ...]) -> None:
    cast = [one(person, label, person) for person, label in enumerate(labels, 1)]
    (row,) = labels_of(votes_table(votes_from(export(*cast), EXCHANGE).votes), method, POLICY).to_pylist()
    assert (row["label"], row["decided_by"], row["category"]) == ("na", "waiting", None)
    assert row["p_unsafe"] == pytest.approx(labels.count("unsafe") / len(labels))


def test_an_annotation_that_its_last_review_rejected_is_no_vote() -> None:
    reviews = [{"accepted": True, "created_at": "2024-05-02"}, {"accepted": False, "created_at": "2024-05-03"}]
    (vote,) = votes_from(export(one(1, "unsafe", 1, reviews=reviews)), EXCHANGE).votes
    assert (vote.label, vote.reason) == ("skip", "rejected in review")
    (vote,) = votes_from(export(one(1, "unsafe", 1, reviews=reviews[:1])), EXCHANGE).votes
    assert vote.label == "unsafe"


def test_json_min_gives_the_same_votes() -> None:
    # As `Converter.convert_to_json_min` of label-studio-sdk 2.1.2 lays it out: an annotation a row, a single choice as text,
    # several as an object, a rating as a list of one; an item without an annotation is a row with neither.
    row = {"key": "k", "scope": "pair", "text": "", "image": "x", "id": 1, "lead_time": 3.2}
    times = [
        {"created_at": f"2024-05-01T10:0{n}:00.000000Z", "updated_at": f"2024-05-01T10:0{n}:00.000000Z"} for n in (1, 2)
    ]
    rows = [
        {**row, "label": "unsafe", "category": "hate", "annotator": 1, "annotation_id": 1, **times[0]},
        {
            **row,
            "label": "unsafe",
            "category": {"choices": ["hate", "spam"]},
            "severity": [{"rating": 2}],
            "annotator": 2,
            "annotation_id": 2,
            **times[1],
        },
        {**row, "key": "other", "annotator": None, "annotation_id": None, "created_at": None, "updated_at": None},
    ]
    found = votes_from(json.dumps(rows), EXCHANGE)
    assert [(v.annotator, v.label, v.categories, v.severity) for v in found.votes] == [
        ("person-1", "unsafe", ("hate",), None),
        ("person-2", "unsafe", ("hate", "spam"), 2),
    ]
    assert found.items == {"decided": 1, "without a vote": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (export(predictions=[{"result": []}]), "predictions and no annotation"),
        (json.dumps([{"id": 1, "data": {"key": "k", "scope": "pair"}, "annotations": 3}]), "counts of annotations"),
        (json.dumps({"images": [], "annotations": [], "categories": []}), "COCO export"),
        ("id,label\n1,safe\n", "not JSON .* not CSV"),
        ("[[1]]", "task 1: expected an object, and it is a list"),
        ("null", "holds null"),
        (json.dumps([{"data": [1], "annotations": []}]), "no key and scope"),
        (json.dumps([{"data": {"key": "k", "scope": ["pair"]}, "annotations": []}]), "no key and scope"),
        (export({**one(1, "safe", 1), "result": "safe"}), "result: expected a list of objects"),
        (export({**one(1, "safe", 1), "result": [1]}), "result: expected a list of objects"),
        (export({**one(1, "safe", 1), "result": None}), "label is None"),
        (export({**one(1, "safe", 1), "lead_time": "slow"}), "lead_time is 'slow', expected a number"),
        (export({**one(1, "safe", 1), "completed_by": "me"}), "who made it"),
        (export({**one(1, "safe", 1), "created_at": 5}), "created_at is '5', expected a time"),
        (
            export({**one(1, "safe", 1), "result": [{"from_name": "label", "value": {"choices": [5]}}]}),
            "expected choices",
        ),
        (export({**one(1, "safe", 1), "reviews": [1]}), "reviews: expected a list of objects"),
    ],
)
def test_what_is_no_such_export_is_refused_by_its_name(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        votes_from(text, EXCHANGE)
    assert len(str(refused.value)) < 2000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["safe", "unsafe", "k", "pair", "2024-05-01"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["data", "key", "scope", "annotations", "result", "from_name", "value", "choices", "label", "completed_by",
                 "created_at", "updated_at", "was_cancelled", "lead_time", "reviews", "annotator", "rating", "severity"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(one(1, "safe", 1))), JSON)
def test_any_annotation_is_votes_that_can_be_written_or_one_error(field: str, value: Any) -> None:
    try:
        votes = votes_from(export({**one(1, "safe", 1), field: value}), EXCHANGE).votes
    except InputError as error:
        assert len(str(error)) < 2000
        return
    assert votes_of(votes_table(votes)) == votes


@settings(max_examples=300, deadline=None)
@given(JSON)
def test_any_json_is_votes_or_one_error(content: Any) -> None:
    try:
        votes: list[Vote] = votes_from(json.dumps(content), EXCHANGE).votes
    except InputError:
        return
    votes_table(votes)


@pytest.mark.parametrize("shape", [(64, 64), (40, 64), (2000, 1000), (500, 400)])
def test_pictures_for_people_have_a_side_that_they_can_see(shape: tuple[int, int]) -> None:
    seen = sized(np.zeros((*shape, 3), np.uint8))
    assert 384 <= max(seen.shape) <= 768 and abs(seen.shape[0] / seen.shape[1] - shape[0] / shape[1]) < 0.02


def test_revealed_tasks_show_the_picture_and_are_kept_on_record(run: tuple[Store, Path, str], tmp_path: Path) -> None:
    store, _, _ = run
    export_tasks(store, tmp_path / "veiled.json", 30)
    export_tasks(store, tmp_path / "seen.json", 30, reveal=True)
    veiled, revealed = entries(store)
    assert (veiled.action, revealed.action) == ("export", "reveal")

    def pictures(name: str) -> dict[str, Any]:
        tasks = [t for t in json.loads((tmp_path / name).read_text()) if t["data"]["scope"] != "prompt"]
        data = {t["data"]["key"]: base64.b64decode(t["data"]["image"].split(",")[1]) for t in tasks}
        return {key: np.asarray(Image.open(io.BytesIO(one)).convert("RGB")) for key, one in data.items()}

    seen = pictures("seen.json")
    assert set(seen) <= set(revealed.details["keys"])
    assert all(
        (pictures("veiled.json")[key].shape == seen[key].shape) and min(seen[key].shape[:2]) >= 384 for key in seen
    )
