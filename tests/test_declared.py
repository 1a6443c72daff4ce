"""What the README shows works where only what the project declares is installed."""

import json
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from jobs import query
from pipeline.catalogue.views import VIEWS
from tests.support.commands import call
from tests.support.declared import ROOT, declared, run_declared, undeclared
from tests.support.labelled_run import labelled_run
from tests.test_architecture import FLOORS, imports_of, sources


def test_the_environment_of_these_tests_lacks_what_only_developers_have(tmp_path: Path) -> None:
    assert {"duckdb", "torch", "s3fs", "pyarrow"} <= declared()
    assert {"pytest", "moto", "hypothesis", "foolbox"} <= undeclared()
    (tmp_path / "imports.py").write_text("import pytest")
    assert "No module named 'pytest'" in run_declared(str(tmp_path / "imports.py")).stderr


def test_why_and_votes_are_answered() -> None:
    store = labelled_run()
    asked = run_declared("jobs/query.py", store.url, "SELECT * FROM votes ORDER BY key LIMIT 1", "--format", "json")
    assert asked.returncode == 0, asked.stderr
    [vote] = json.loads(asked.stdout)
    assert vote["time"].endswith("+00:00")
    why = run_declared("jobs/query.py", store.url, "why", vote["key"])
    assert why.returncode == 0, why.stderr
    assert f"vote      {vote['scope']}: label {vote['label']}" in why.stdout


def test_code_imports_what_the_project_declares_or_says_what_is_missing() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed, brought_by = _names(project["dependencies"]), packages_distributions()
    files = [file for floor in (*FLOORS, "examples") for file in sources(floor)]
    outside = {entry.name.partition(".")[0] for entry in Path(sys.prefix, "integrations").iterdir()}
    # A user who lacks an extra is told its name by the code that finds it missing.
    told = {
        extra
        for extra in project["optional-dependencies"]
        if any(f"hazmat[{extra}]" in file.read_text() for file in files)
    }
    optional = set().union(*(_names(project["optional-dependencies"][extra]) for extra in told - {"dev"}))
    for file in files:
        others = (
            outside if file.parent.name == "examples" else set()
        )  # somebody else's package, which the example is for
        for module in {name.partition(".")[0] for name in imports_of(file)} - {
            *FLOORS,
            *sys.stdlib_module_names,
            *others,
        }:
            brings = {canonicalize_name(name) for name in brought_by.get(module, [module])}
            guarded = "except ImportError:\n        return" in file.read_text()
            assert brings & (needed | optional) or guarded, (
                f"{file} imports {module}, which pyproject.toml does not name"
            )


def _names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(each).name) for each in requirements}


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_every_column_of_every_view_is_answered(
    form: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pytz", None)
    for view in VIEWS:
        assert call(query, labelled_run().url, f"SELECT * FROM {view} LIMIT 3", "--format", form) == 0
    assert "scene_truth" in capsys.readouterr().out
