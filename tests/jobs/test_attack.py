"""`jobs/attack.py`: what it refuses and how it says so, and that asked again it goes on to the same digest."""

import json
import shutil
from pathlib import Path

import pytest

from jobs import attack as attack_job
from jobs.command import BAD_INPUT
from tests.support.commands import status
from tests.support.labelled_run import attacked_run, trained_model


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--attacks", "nothing"), "expected names, each once, out of"),
        (("--attacks", "grid,grid"), "expected names, each once, out of"),
        (("--attacks", "pgd"), "give --against one"),
        (("--attacks", "grid", "--aim", "harm"), "is not one of 'evade', 'false_flag', 'both'"),
        (("--attacks", "grid", "--against", "models/none"), "train one with jobs/train.py"),
    ],
)
def test_bad_use_is_one_line_and_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    url = attacked_run().url
    capsys.readouterr()  # what making it said
    assert status(attack_job, url, *arguments, "--engine", "local") == BAD_INPUT
    line, *rest = capsys.readouterr().err.splitlines()
    assert not rest or "--help" in rest[0]
    assert line.startswith("error: ") and said in line


def test_what_is_no_run_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert status(attack_job, str(tmp_path / "none"), "--attacks", "grid", "--engine", "local") == BAD_INPUT


def test_a_classifier_of_elsewhere_is_attacked_only_by_its_digest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    elsewhere = shutil.copytree(trained_model("image").folder, tmp_path / "image")
    command = [attacked_run().url, "--attacks", "fgsm", "--against", str(elsewhere), "--engine", "local"]
    assert status(attack_job, *command) == BAD_INPUT
    digest = trained_model("image").digest()
    assert f"--digest {digest}" in capsys.readouterr().err
    assert status(attack_job, *command, "--digest", "0" * 32) == BAD_INPUT
    assert status(attack_job, *command, "--digest", digest) == 0


def test_asked_again_after_a_loss_it_makes_only_what_is_missing_and_prints_the_same_digest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = attacked_run().url
    said = []
    for _ in range(2):
        assert status(attack_job, url, "--attacks", "blur,resize", "--engine", "local", "--json") == 0
        printed = capsys.readouterr().out.splitlines()
        costs = [line for line in printed if "samples in 3 units: about" in line]
        assert len(costs) == (not said), "what it will take is said before, where more than a unit is left"
        summary = json.loads(printed[-1])
        assert summary["run"] == url
        said.append(summary["rounds"][0])
        receipts = sorted(Path(url, said[0]["round"], "receipts").glob("*.json"))
        receipts[0].unlink()
    assert said[0]["made_now"] == said[0]["variants"] == 320 and 0 < said[1]["made_now"] < 320
    assert said[1]["digest"] == said[0]["digest"] and said[1]["pending"] == 0
    assert status(attack_job, url, "--attacks", "blur,resize", "--engine", "local") == 0


def test_a_classifier_that_flags_nothing_is_said_to_leave_nothing_to_attack(capsys: pytest.CaptureFixture[str]) -> None:
    mute = trained_model("text").load()
    mute.threshold = 1 - 1e-9
    mute.save(Path(attacked_run().url, "models/mute"))
    asked = (attacked_run().url, "--attacks", "typos", "--against", "mute", "--samples", "8", "--engine", "local")
    assert status(attack_job, *asked) == 0
    assert "warning: mute flag nothing of 8 samples" in capsys.readouterr().err
