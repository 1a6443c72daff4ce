"""A classifier is replayed in another's shadow: over a run, and over what a server was asked."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from classifiers.saved import build
from classifiers.serving.policies import KeyPolicy
from classifiers.serving.requests import Asked
from classifiers.serving.verdict_log import VerdictLog
from classifiers.serving.verdicts import ServedModels, verdict
from jobs import shadow
from pipeline.storage.weights import model_directory
from tests.support.commands import call, status
from tests.support.labelled_run import labelled_run


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A classifier of pairs, and the same with a threshold below all that it says."""
    folder = tmp_path_factory.mktemp("models")
    model = build("multimodal", model_directory("assets/world/clip"))
    for name, threshold in (("usual", 0.999), ("strict", 1e-9)):
        model.threshold = threshold
        model.save(folder / name)
    return str(folder / "usual"), str(folder / "strict")


def summary(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, float]:
    assert call(shadow, *arguments, "--json") == 0
    found: dict[str, float] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def test_every_pair_of_a_run_is_newly_flagged_by_a_classifier_that_flags_all(
    models: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "answers.parquet"
    told = summary(capsys, labelled_run().url, *models, "--out", str(out))
    rows = pq.read_table(out)
    assert told["rows"] == rows.num_rows == told["newly_flagged"] >= 100 and told["no_longer_flagged"] == 0
    assert told["changed"] == 1 and told["changed_low"] < 1 and told["mcnemar_p"] < 1e-6
    assert "prompt" not in rows.column_names and rows["old_unsafe"].equals(rows["new_unsafe"])


def test_a_servers_log_is_replayed_without_showing_its_texts(
    models: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [Asked("a most secret text"), Asked("a dog")]
    judges = ServedModels([build("multimodal", model_directory("assets/world/clip"))])
    log = VerdictLog(tmp_path / "log.jsonl")
    log.add(asked, [verdict(each, KeyPolicy()) for each in judges.judge(asked)], KeyPolicy())
    assert call(shadow, str(tmp_path / "log.jsonl"), *models, "--out", str(tmp_path / "a.parquet")) == 0
    assert "secret" not in capsys.readouterr().out
    (tmp_path / "log.jsonl").write_text("{}\n")
    assert status(shadow, str(tmp_path / "log.jsonl"), *models) == 2
    assert "line 1: no line of a server's log" in capsys.readouterr().err
