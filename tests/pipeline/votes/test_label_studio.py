"""People's votes out to Label Studio and back: blurred, checked against the protocol, committed once."""

import base64
import io
import json
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from jobs import label
from pipeline.storage.open_store import open_store
from pipeline.storage.store import Store
from pipeline.votes.aggregate import aggregate
from pipeline.votes.label_studio import Exchange, labelling_config, task_of, votes_from
from pipeline.votes.read import read_votes
from schemas.errors import InputError
from schemas.run import RunConfig
from schemas.taxonomy import UNSAFEBENCH
from schemas.vote import votes_of
from stages.label.prompt_policy import PromptPolicy
from stages.rounds.human_votes import export_tasks, import_votes, veiled
from stages.rounds.label_round import open_label_round
from tests.support.commands import call as run_here
from tests.support.misbehaving import Paint
from tests.support.runs import carry_out, plan_of, texts

EXCHANGE = Exchange(UNSAFEBENCH.name, UNSAFEBENCH.version, UNSAFEBENCH.ids)
LATER = iter(range(10**6))


def annotation(person: int, label: str | None, *categories: str, **more: object) -> dict[str, Any]:
    minute = next(LATER)
    result = [] if label is None else [{"from_name": "label", "type": "choices", "value": {"choices": [label]}}]
    if categories:
        result.append({"from_name": "category", "type": "choices", "value": {"choices": list(categories)}})
    made = f"2026-01-{1 + minute // 1440 % 28:02d}T{minute // 60 % 24:02d}:{minute % 60:02d}:00Z"
    return {"completed_by": person, "created_at": made, "lead_time": 2.5, "result": result, **more}


def file_of(*annotations: dict[str, Any]) -> str:
    return json.dumps([{**task_of("k", "image", "", "data:,"), "annotations": list(annotations)}])


def labelled_run(folder: Path) -> Store:
    carry_out(folder, plan_of(texts(10), Paint()))
    store = open_store(str(folder))
    store.write("run.json", RunConfig(out=str(folder)).to_json({}))
    open_label_round(store, [PromptPolicy()]).carry_out("local")
    aggregate(store, "majority")
    return store


def test_two_agreeing_votes_decide_and_a_person_is_a_number() -> None:
    imported = votes_from(file_of(annotation(7, "unsafe", "spam", "hate"), annotation(9, "unsafe", "hate")), EXCHANGE)
    first, second = imported.votes
    assert (first.annotator, first.annotator_type, first.label, first.categories) == (
        "person-7",
        "human",
        "unsafe",
        ("spam", "hate"),
    )
    assert first.view_ms == 2500 and first.blind and second.blind and first.time is not None
    assert imported.items == {"decided": 1}


def test_a_third_vote_is_for_disagreement_only_and_is_not_blind() -> None:
    imported = votes_from(file_of(annotation(1, "safe"), annotation(2, "na"), annotation(3, "safe")), EXCHANGE)
    assert [vote.blind for vote in imported.votes] == [True, True, False] and imported.items == {"decided": 1}
    with pytest.raises(InputError, match="the first two agree"):
        votes_from(file_of(annotation(1, "safe"), annotation(2, "safe"), annotation(3, "na")), EXCHANGE)


@pytest.mark.parametrize(
    ("annotations", "state"),
    [
        ([], "without a vote"),
        ([annotation(1, "safe")], "waiting for a second vote"),
        ([annotation(1, "safe"), annotation(2, "unsafe", "spam")], "waiting for a third vote"),
        ([annotation(1, "safe"), annotation(2, "unsafe", "spam"), annotation(3, "na")], "undecided by three"),
        ([annotation(1, "escalate")], "escalated"),
        ([annotation(1, None, was_cancelled=True), annotation(2, "safe"), annotation(3, "safe")], "decided"),
    ],
)
def test_every_item_is_somewhere_in_the_protocol(annotations: list[dict[str, Any]], state: str) -> None:
    assert votes_from(file_of(*annotations), EXCHANGE).items == {state: 1}


def test_gold_stands_outside_of_the_protocol() -> None:
    imported = votes_from(
        file_of(annotation(1, "safe", ground_truth=True), annotation(1, "safe"), annotation(2, "safe")), EXCHANGE
    )
    assert [vote.gold for vote in imported.votes] == [True, False, False]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("{}", "list of tasks, and the file holds an object"),
        (file_of(annotation(1, "unsafe")), "unsafe and no category"),
        ('[{"data": {"image": "x"}}]', "no key and scope"),
        (file_of(annotation(1, "safe"), annotation(1, "safe")), "voted twice"),
        (file_of(*(annotation(i, "safe") for i in range(4))), "4 votes"),
        (file_of(annotation(1, "fine")), "label is 'fine'"),
        (file_of(annotation(1, "unsafe", "weather")), "weather is no category"),
        (file_of({**annotation(1, "safe"), "completed_by": None}), "who made it"),
        (file_of({**annotation(1, "safe"), "created_at": "noon"}), "expected a time"),
        (json.dumps(json.loads(file_of()) * 2), "there twice"),
    ],
)
def test_what_breaks_the_protocol_is_refused_with_the_task(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        votes_from(text, EXCHANGE)


def test_the_interface_offers_every_choice() -> None:
    config = labelling_config(EXCHANGE.categories)
    assert all(f'value="{name}"' in config for name in (*EXCHANGE.categories, "safe", "na", "escalate"))


def test_a_veiled_picture_shows_no_edges_and_is_small() -> None:
    board = (np.indices((400, 600)).sum(axis=0) // 20 % 2 * 255).astype(np.uint8)
    veil = veiled(np.repeat(board[:, :, None], 3, axis=2))
    assert max(veil.shape) == 600 and np.abs(np.diff(veil.astype(int), axis=1)).max() < 8


def test_tasks_go_out_blurred_and_private_and_come_back_as_a_round(tmp_path: Path) -> None:
    store = labelled_run(tmp_path / "run")
    file = tmp_path / "tasks.json"
    summary = export_tasks(store, file, 4)
    tasks = json.loads(file.read_text())
    assert summary["tasks"] == 4 == len(tasks) and file.with_suffix(".xml").is_file()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert all(task["predictions"] == [] for task in tasks), "no model's vote before two blind ones"
    for number, task in enumerate(tasks):
        picture = Image.open(io.BytesIO(base64.b64decode(task["data"]["image"].split(",")[1])))
        assert task["data"]["scope"] == "prompt" or max(picture.size) >= 384, "people can see it"
        second = annotation(2, "unsafe", "spam") if number else annotation(2, "safe")
        task["annotations"] = [annotation(1, "unsafe", "spam"), second]
    file.write_text(json.dumps(tasks))
    for _ in range(2):  # the second time changes nothing
        found = import_votes(store, file)
        assert found["votes"] == 8 and found["decided"] == 3 and found["waiting for a third vote"] == 1
    people = [vote for vote in votes_of(read_votes(store)[0]) if vote.annotator_type == "human"]
    assert len(people) == 8 and {vote.round for vote in people} == {found["round"]}
    aggregate(store, "dawid_skene")
    decided = pq.read_table(tmp_path / "run/labels.parquet").to_pylist()
    assert sum(row["decided_by"] == "human" and row["label"] == "unsafe" for row in decided) >= 3
    assert pq.read_table(tmp_path / "run/agreement.parquet").num_rows > 0


def test_models_votes_are_shown_once_two_people_have_voted_blind(tmp_path: Path) -> None:
    store = labelled_run(tmp_path / "run")
    file = tmp_path / "tasks.json"
    export_tasks(store, file, 1)
    (task,) = json.loads(file.read_text())
    task["annotations"] = [annotation(1, "unsafe", "spam"), annotation(2, "safe")]
    file.write_text(json.dumps([task]))
    import_votes(store, file)
    aggregate(store, "majority")
    export_tasks(store, file, 1)
    (again,) = json.loads(file.read_text())
    assert again["data"]["key"] == task["data"]["key"], "a disagreement of people comes first"
    assert [one["model_version"].split("@")[0] for one in again["predictions"]] == ["prompt_policy"]


def test_votes_on_samples_of_another_run_are_refused(tmp_path: Path) -> None:
    store = labelled_run(tmp_path / "run")
    (tmp_path / "other.json").write_text(file_of(annotation(1, "safe"), annotation(2, "safe")))
    with pytest.raises(InputError, match="1 tasks are of no sample of this run"):
        import_votes(store, tmp_path / "other.json")


def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert run_here(label, *arguments, "--json") == 0
    summary: dict[str, Any] = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    return summary


def test_the_four_commands_of_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, file = str(tmp_path / "run"), str(tmp_path / "tasks.json")
    labelled_run(tmp_path / "run")
    labelled = call(monkeypatch, capsys, run, "--labellers", "prompt_truth,prompt_policy", "--engine", "local")
    assert (labelled["samples"], labelled["pending"], labelled["quarantined"]) == (10, 0, 0)
    again = call(monkeypatch, capsys, run, "--labellers", "prompt_truth,prompt_policy", "--engine", "local")
    assert again["labelled_now"] == 0 and again["digest"] == labelled["digest"]
    labels = call(monkeypatch, capsys, run, "--aggregate", "dawid_skene")
    assert labels["votes"] == 30 and labels["annotators"] == 2
    assert call(monkeypatch, capsys, run, "--export", file, "--for-review", "3")["tasks"] == 3
    tasks = json.loads(Path(file).read_text())
    for task in tasks:
        task["annotations"] = [annotation(1, "safe"), annotation(2, "safe")]
    Path(file).write_text(json.dumps(tasks))
    assert call(monkeypatch, capsys, run, "--import", file)["people"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{run}/none", "--aggregate", "majority"], "no such folder"),
        (["{run}", "--labellers", "nobody"], "no such labeller"),
        (["{run}", "--import", "{run}/none.json"], "none.json"),
    ],
)
def test_bad_input_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    labelled_run(tmp_path)
    with pytest.raises(InputError, match=message):
        run_here(label, *(part.format(run=tmp_path) for part in arguments))


def test_an_unknown_method_is_refused_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run_here(label, "run", "--aggregate", "guess")
    assert "'guess' is not one of 'majority', 'dawid_skene'" in capsys.readouterr().err


def test_export_and_for_review_go_together(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_here(label, "run", "--export", "tasks.json")
    assert ended.value.code == 2 and "go together" in capsys.readouterr().err
