"""Each script of examples/ runs as its first lines say, and shows what it promises."""

import json
import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from stages.world.coverage import coverage_of
from stages.world.reader import read
from stages.world.truth import of_prompt
from tests.support.labelled_run import labelled_run

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, *arguments: object) -> str:
    """What the script prints."""
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *map(str, arguments)]
    ran = subprocess.run(command, cwd=EXAMPLES.parent, capture_output=True, text=True, timeout=280, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    return ran.stdout


def test_every_example_is_run_by_a_test() -> None:
    text = "".join(path.read_text() for path in Path(__file__).parent.rglob("test_*.py"))
    assert not [path.stem for path in EXAMPLES.glob("*.py") if path.stem not in text]


def test_own_attack_shows_two_variants_of_each_prompt() -> None:
    lines = run("own_attack").splitlines()
    assert len(lines) == 4 and all("->" in line and "(3 edits)" in line for line in lines)


def test_own_labeller_votes_on_pictures() -> None:
    red, blue = run("own_labeller").splitlines()
    assert "image unsafe by most" in red and "image safe by most" in blue


@pytest.mark.slow
def test_own_prompts_become_shards_that_webdataset_opens(tmp_path: Path) -> None:
    train, val, test = run("own_prompts", tmp_path / "own").splitlines()[-3:]
    counts = [sum(map(int, re.findall(r": (\d+)", line))) for line in (train, val, test)]
    assert 24 <= sum(counts) <= 32 and counts[0] > counts[1] and "unsafe" in train


@pytest.mark.slow
def test_own_classifier_learns_what_its_run_labels(tmp_path: Path) -> None:
    said = run("own_classifier", tmp_path)
    losses = [float(loss) for loss in re.findall(r"epoch \d+: loss ([\d.]+)", said)]
    [(right, of)] = re.findall(r"test: (\d+) of (\d+) pictures", said)
    assert losses == sorted(losses, reverse=True) and int(right) > 0.6 * int(of)


@pytest.mark.slow
def test_guarded_pipeline_refuses_by_word_and_by_picture(tmp_path: Path) -> None:
    said = run("guarded_pipeline", tmp_path)
    assert "'a bomb': refused by the text guard after 0 steps" in said
    assert "'a pistol': refused by the image guard after 10 steps" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.png", "2.png"]


def test_own_prompts_are_half_in_the_worlds_words() -> None:
    spec = spec_from_file_location("own_defence", EXAMPLES / "own_defence.py")
    assert spec is not None and spec.loader is not None
    example = module_from_spec(spec)
    spec.loader.exec_module(example)
    prompts = example.own_prompts(300)
    assert len({*prompts}) == 300 and coverage_of(prompts).readable == 150
    unsafe = sum(of_prompt(read(prompt)).unsafe for prompt in prompts)
    assert 40 <= unsafe <= 100


def test_the_notebook_runs_from_top_to_bottom(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RUN", labelled_run().url)
    names: dict[str, Any] = {}
    for cell in json.loads((EXAMPLES / "first_look.ipynb").read_text())["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [], "no output is kept: it would be of somebody's own run"
            exec("".join(cell["source"]), names)
    said = capsys.readouterr().out
    assert "recognised [True, False]" in said and "1 of 3 prompts (33%)" in said
