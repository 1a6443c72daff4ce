"""A recipe in a file of the user's: found by its path, recorded with its digest, never taken from the run itself."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.recipes.named import chosen, recipe_of, run_with_recipe
from schemas.errors import HazmatError, InputError
from schemas.run import RunConfig

CODE = """
from dataclasses import replace
from jobs.recipes.pictogram import render

def three(config):
    return replace(render(config), name="three", unit_size=3)

def nothing(config):
    return None
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of a name that no other test imports, in a folder that is off the path again afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    made = tmp_path / f"own_{tmp_path.name}.py"
    made.write_text(CODE)
    return made


def named(file: Path, function: str = "three") -> RunConfig:
    return RunConfig(out="unused", recipe=f"{file}:{function}")


def test_the_function_is_called_and_the_file_is_recorded(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    config = chosen(named(Path(file.name)))
    assert config.recipe == f"{file}:three" and len(config.recipe_sha256 or "") == 64
    assert recipe_of(config).name == "three" and recipe_of(config).unit_size == 3
    assert RunConfig.from_json(config.to_json({})) == config


def test_a_file_that_has_changed_is_not_taken_for_the_one_that_made_the_run(file: Path) -> None:
    config = chosen(named(file))
    file.write_text(CODE + "\n")
    with pytest.raises(
        InputError, match=r"has changed since the run was made .* give the run.s jobs/generate\.py command"
    ):
        recipe_of(config)
    file.unlink()
    with pytest.raises(InputError, match="No such file"):
        recipe_of(config)


def test_what_is_no_recipe_is_one_clear_error(file: Path) -> None:
    for wrong, message in ((named(file, "four"), "no function four"), (named(file, "nothing"), "returned NoneType")):
        with pytest.raises(InputError, match=message):
            recipe_of(wrong)
    for unknown in ("natural", "three", "own.txt:three"):
        with pytest.raises(InputError, match=r"expected one of .*render.*FILE\.py:FUNCTION"):
            chosen(RunConfig(out="unused", recipe=unknown))
    broken = file.with_name(f"broken_{file.name}")
    broken.write_text("import nowhere_at_all")
    with pytest.raises(InputError, match="importing it raised ModuleNotFoundError"):
        recipe_of(named(broken))
    hidden = file.with_name("json.py")
    hidden.write_text(CODE)
    with pytest.raises(InputError, match="under the name json; give the file another name"):
        recipe_of(named(hidden))


def test_code_that_a_run_brings_along_is_not_called(file: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    inside = run / file.name
    inside.write_text("raise SystemExit('called')")
    (run / "run.json").write_bytes(named(inside).to_json({}))
    with pytest.raises(InputError, match="code that a run brings along is not called"):
        run_with_recipe(str(run))


def test_facts_of_an_older_run_know_no_digest() -> None:
    config = RunConfig(out="somewhere", recipe="render")
    facts = json.loads(config.to_json({}))
    for later in ("recipe_sha256", "version", "checksum"):
        del facts[later]
    assert RunConfig.from_json(json.dumps(facts).encode()) == config
    del facts["recipe"]
    with pytest.raises(HazmatError, match="recipe"):
        RunConfig.from_json(json.dumps(facts).encode())
    assert recipe_of(replace(config, recipe_sha256=None)).name == "render"
