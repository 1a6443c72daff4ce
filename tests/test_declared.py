"""What the README shows works where only what the project declares is installed."""

import json
import sys
from pathlib import Path

import pytest

from jobs import query
from pipeline.catalogue.views import VIEWS
from tests.support.commands import call
from tests.support.declared import declared, run_declared, undeclared
from tests.support.labelled_run import labelled_run


def test_the_environment_of_these_tests_lacks_what_only_developers_have(tmp_path: Path) -> None:
    assert {"duckdb", "torch", "s3fs", "pyarrow"} <= declared()
    assert {"pytest", "moto", "hypothesis", "foolbox"} <= undeclared()
    (tmp_path / "imports.py").write_text("import pytest")
    assert "does not declare" in run_declared(str(tmp_path / "imports.py")).stderr


def test_why_and_votes_are_answered() -> None:
    store = labelled_run()
    asked = run_declared("jobs/query.py", store.url, "SELECT * FROM votes ORDER BY key LIMIT 1", "--format", "json")
    assert asked.returncode == 0, asked.stderr
    [vote] = json.loads(asked.stdout)
    assert vote["time"].endswith("+00:00")
    why = run_declared("jobs/query.py", store.url, "why", vote["key"])
    assert why.returncode == 0, why.stderr
    assert f"vote      {vote['scope']}: label {vote['label']}" in why.stdout


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_every_column_of_every_view_is_answered(
    form: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pytz", None)
    for view in VIEWS:
        assert call(query, labelled_run().url, f"SELECT * FROM {view} LIMIT 3", "--format", form) == 0
    assert "scene_truth" in capsys.readouterr().out
