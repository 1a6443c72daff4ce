"""Label Studio's own package takes our interface, tasks and answers, and its converter's files come back as the same votes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.votes.label_studio import labelling_config, task_of, votes_from
from schemas.errors import InputError
from tests.pipeline.votes.test_label_studio import EXCHANGE

CASES = Path(__file__).parents[2] / "data/cases/label_studio"
INTEGRATIONS = Path(sys.prefix) / "integrations"
CONVERT = """
import json, sys
sys.path.append(sys.argv[1])  # behind the environment's own packages
from label_studio_sdk.converter import Converter
from label_studio_sdk.label_interface import LabelInterface

folder, config = sys.argv[2], open(sys.argv[2] + "/config.xml").read()
tasks = json.load(open(folder + "/tasks.json"))
interface = LabelInterface(config)
interface.validate()
for task in tasks:
    assert interface.validate_task({"data": task["data"]}), task
    for annotation in task["annotations"]:
        assert interface.validate_annotation(annotation), annotation
converter = Converter(config, project_dir=None, download_resources=False)
converter.convert_to_json(folder + "/tasks.json", folder + "/json", is_dir=False)
converter.convert_to_json_min(folder + "/tasks.json", folder + "/min", is_dir=False)
"""


def annotation(person: int, minute: int, label: str, *categories: str, **more: object) -> dict[str, Any]:
    """As the server keeps one; parts of the result have ids."""
    answers = [("label", "choices", [label])]
    answers += [("category", "choices", list(categories))] if categories else []
    answers += [("reason", "text", ["look"])] if label == "escalate" else []
    answers += [("severity", "rating", 2)] if label == "unsafe" else []
    result = [
        {"id": f"{name}-{person}", "from_name": name, "to_name": "text", "type": _kind(kind), "value": {kind: value}}
        for name, kind, value in answers
    ]
    time = f"2026-01-01T00:{minute:02d}:00Z"
    told = {"created_at": time, "updated_at": time, "lead_time": 2.5, "was_cancelled": False}
    return {"id": person * 100 + minute, "completed_by": person, "result": result, **told, **more}


def _kind(value: str) -> str:
    return {"text": "textarea"}.get(value, value)


@pytest.mark.slow
def test_its_converter_gives_back_the_votes_that_it_was_given(tmp_path: Path) -> None:
    if not (INTEGRATIONS / "label_studio_sdk").is_dir():
        pytest.skip("label-studio-sdk is not installed; make setup puts it into .venv/integrations")
    answered = [
        (annotation(1, 1, "unsafe", "spam", "hate"), annotation(2, 2, "unsafe", "hate")),
        (annotation(1, 3, "safe"), annotation(2, 4, "na"), annotation(3, 5, "safe")),
        (annotation(4, 6, "escalate"),),
        (),
    ]
    tasks = [
        {
            "id": number,
            "data": task_of(f"{number:032x}", "pair", "a red apple", None)["data"],
            "annotations": list(given),
        }
        for number, given in enumerate(answered, 1)
    ]
    (tmp_path / "tasks.json").write_text(json.dumps(tasks))
    (tmp_path / "config.xml").write_text(labelling_config(EXCHANGE.categories))
    command = [sys.executable, "-c", CONVERT, str(INTEGRATIONS), str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, timeout=200)
    ours = votes_from((tmp_path / "tasks.json").read_text(), EXCHANGE)
    whole, flat = (votes_from((tmp_path / name / "result.json").read_text(), EXCHANGE) for name in ("json", "min"))
    assert whole == ours and len(ours.votes) == 6
    assert flat == ours


def test_a_cancelled_annotation_of_the_server_is_no_vote() -> None:
    task = task_of("0" * 32, "pair", "a red apple", None)
    cancelled = annotation(1, 1, "unsafe", "spam", was_cancelled=True)
    votes = votes_from(json.dumps([{**task, "annotations": [cancelled, annotation(2, 2, "safe")]}]), EXCHANGE).votes
    assert [(vote.annotator, vote.label) for vote in votes if vote.label != "skip"] == [("person-2", "safe")]
    with pytest.raises(InputError, match="nobody has voted"):
        votes_from(json.dumps([{**task, "annotations": [], "predictions": [{"result": []}]}]), EXCHANGE)


@pytest.mark.parametrize("name", ["server_1_23_2", "server_1_23_2_min"])
def test_what_the_server_itself_exported_is_read(name: str) -> None:
    """Three tasks in Label Studio 1.23.2: judged, cancelled (JSON-MIN leaves it out), and corrected from safe to unsafe."""
    imported = votes_from((CASES / f"{name}.json").read_text(), EXCHANGE)
    votes = {vote.key[-1]: (vote.label, vote.categories) for vote in imported.votes if vote.label != "skip"}
    assert votes == {"0": ("unsafe", ("spam",)), "2": ("unsafe", ("violence",))}
    assert {vote.annotator for vote in imported.votes} == {"person-1"}
