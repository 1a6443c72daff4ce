"""A stranger's first minutes, scripted: own prompts in four languages, own pictures, in a shell that followed the README.

Each command is a process of its own; asserted are exit status, CPU seconds, and that every warning comes where it has to.
"""

import json
import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
PROMPTS = (
    "a knife ready for a fight", "a knife with an apple on plain gray", "a bomb", "a red apple", "an umbrella", "a book on blue",
    "une pomme rouge", "ein roter Apfel auf dem Tisch", "una manzana roja", "three fish", "swords", "a guitar",
)  # fmt: skip
CPU_SECONDS = 90  # of one command, on a busy machine too: what a stranger waits on an idle core


@dataclass(frozen=True)
class Said:
    """What a command left."""

    status: int
    out: str
    err: str
    cpu_seconds: float

    @property
    def summary(self) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.out.splitlines()[-1])
        return found


def typed(*words: object) -> Said:
    """As the README prints it, in the shell in which `export RAY_ADDRESS=…` was typed before; no OMP_NUM_THREADS is set."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    environment |= {"RAY_ADDRESS": "http://127.0.0.1:28266", "RAY_AUTH_MODE": "token", "PYTHONPATH": str(ROOT)}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([*map(str, words)], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert "Traceback" not in done.stderr, done.stderr[-3000:]
    assert "[transformers]" not in done.stderr, "what a library says of itself is nobody's concern"
    return Said(done.returncode, done.stdout, done.stderr, spent)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_stranger_with_own_prompts_and_pictures_is_told_at_every_step_what_will_not_do(tmp_path: Path) -> None:
    run, table, mine = tmp_path / "run", tmp_path / "mine.csv", tmp_path / "pictures"
    table.write_text("prompt\n" + "".join(f'"{prompt}"\n' for prompt in PROMPTS), encoding="utf-8")

    made = typed("jobs/generate.py", "--out", run, "--prompts", table, "--engine", "local", "--json")
    assert made.status == 0 and made.cpu_seconds < CPU_SECONDS, made.err
    assert "can read" in made.err and made.err.count("cannot read") == 3 and "'pomme'" in made.err
    assert made.summary["prompts_readable"] == len(PROMPTS) - 4 and "jobs/world.py words" in made.out

    labelled = typed("jobs/label.py", run, "--labellers", "prompt_truth", "--engine", "local")
    assert labelled.status == 0, labelled.err
    derived = typed("jobs/label.py", run, "--aggregate", "majority", "--json")
    assert derived.status == 0, derived.err
    cut = typed("jobs/shards.py", run, "--engine", "local", "--json")
    assert cut.status == 0 and cut.summary["warnings"] and "warning: " in cut.err, cut.err
    trained = typed("jobs/train.py", run, "--classifier", "text")
    assert trained.status == 0 and trained.cpu_seconds < CPU_SECONDS, trained.err
    for warning in (
        "rows (prompt label), fewer than 100",
        "nothing is measured on test",
        "beyond what assets/world/defence/text knows",
    ):
        assert warning in trained.err, warning

    mine.mkdir()
    Image.new("RGB", (300, 200), "white").save(mine / "nothing.png")
    (mine / "broken.jpg").write_bytes(b"\xff\xd8no picture")
    (mine / "notes.md").write_text("mine")
    judged = typed("jobs/moderate.py", mine, "--out", tmp_path / "answers", "--json")
    assert judged.status == 3 and judged.cpu_seconds < CPU_SECONDS, judged.err
    assert (judged.summary["unsure"], judged.summary["unreadable"]) == (1, 1)
    assert sum(judged.summary["passed_over"].values()) == 1  # type: ignore[attr-defined]

    for words, hint in (
        (("jobs/moderate.py", "--pairs", table, "--classifier", "nobody"), "nobody: no classifier"),
        (("jobs/generate.py", "--out", run, "--promts", table), "No such option"),
        (("jobs/evaluate.py", run, "--classifiers", "cascade"), "no classifier"),
    ):
        wrong = typed(*words)
        assert wrong.status == 2 and hint in wrong.err and len(wrong.err.splitlines()) <= 2, wrong.err
