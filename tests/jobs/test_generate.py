"""What the command line promises: summaries, exit codes and one clear line for every mistake."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from jobs.recipes.named import recipe_of
from jobs.recipes.prompt_count import prompt_count
from jobs.recipes.prompts import roots
from pipeline.engines.estimate import calibrate
from schemas.run import RunConfig
from stages.prompts.grammar import GrammarPrompts

ROOT = Path(__file__).parents[2]
SLOWEST_REFUSAL = 20  # seconds, start of Python included


def generate(*arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Call the job as a user does."""
    command = [sys.executable, str(ROOT / "jobs" / "generate.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


def refused(*arguments: object) -> str:
    """The one line of a call that is bad use or bad input, and is so within seconds."""
    start = time.monotonic()
    done = generate(*arguments)
    assert done.returncode == 2, done.stderr
    assert time.monotonic() - start < SLOWEST_REFUSAL
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ") or "error: " in line]
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_prompts_of_a_file_become_rows_with_their_provenance(tmp_path: Path) -> None:
    file = tmp_path / "prompts.csv"
    file.write_bytes(
        "\ufeffid,text,category,label,language\r\n"
        "a1,a red apple,food,safe,en\r\na2,two dogs on a blue background,,safe,en\r\na3,,,,\r\na4,a red apple,,,\r\n".encode()
    )
    done = generate("--out", tmp_path / "run", "--recipe", "render", "--engine", "local", "--prompts", file, "--column", "text",
                    "--images-per-prompt", 2, "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert set(summary) >= {"units", "samples", "dropped", "quarantined", "seconds", "images_per_second", "digest"}
    assert summary["samples"] == 4
    assert "1 empty" in done.stdout and "1 duplicate" in done.stdout
    assert summary["left_out"] == {"empty": 1, "duplicate": 1}
    rows = pq.read_table(tmp_path / "run" / "rounds" / "000-generate" / "raw" / "unit-000000.parquet").to_pylist()
    assert {(row["source_id"], row["category"], row["label"], row["language"]) for row in rows} == {
        ("a1", "food", "safe", "en"),
        ("a2", None, "safe", "en"),
    }
    assert all(row["generator"] == "render/noto" and row["revision"] and row["seed"] is not None for row in rows)


def test_a_table_of_broken_rows_is_refused_unless_they_may_be_left_out(tmp_path: Path) -> None:
    file = tmp_path / "prompts.csv"
    file.write_text("prompt\na dog, asleep\na red apple\n")
    facts = ("--out", tmp_path / "run", "--recipe", "render", "--engine", "local", "--prompts", file, "--json")
    assert "line 2: 2 cells, the header has 1" in refused(*facts)
    done = generate(*facts, "--skip-bad-rows")
    summary = json.loads(done.stdout.splitlines()[-1])
    assert (summary["samples"], summary["left_out"]) == (1, {"malformed": 1})
    assert "1 malformed (prompts.csv, line 2: 2 cells" in done.stdout


def test_the_same_command_again_resumes_and_changes_nothing(tmp_path: Path) -> None:
    facts = ("--out", tmp_path, "--recipe", "render", "--engine", "local", "--count", 40, "--json")
    first, second = (json.loads(generate(*facts).stdout.splitlines()[-1]) for _ in range(2))
    assert first["digest"] == second["digest"] and second["images_per_second"] == 0


def test_a_prompt_that_cannot_be_drawn_is_quarantined_and_the_exit_code_says_so(tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("a red apple\nsomething that no pictogram shows\na dog\n")
    done = generate("--out", tmp_path / "run", "--recipe", "render", "--engine", "local", "--prompts", file, "--json")
    assert done.returncode == 3
    assert json.loads(done.stdout.splitlines()[-1])["quarantined"] == 1


def test_a_missing_file_is_named() -> None:
    assert "nowhere.csv" in refused("--out", "/tmp/unused-hazmat", "--prompts", "nowhere.csv")


def test_a_wrong_column_names_the_columns_there(tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    file.write_text("text,label\na dog,safe\n")
    message = refused("--out", tmp_path / "run", "--prompts", file, "--column", "txt")
    assert "txt" in message and "text" in message


def test_a_directory_that_is_no_model_is_refused_before_anything_loads(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    message = refused("--out", tmp_path / "run", "--recipe", "diffusion", "--model", tmp_path / "model", "--restricted")
    assert "model_index.json" in message


def test_a_missing_model_directory_is_refused() -> None:
    message = refused(
        "--out", "/tmp/unused-hazmat", "--recipe", "diffusion", "--model", "/nowhere/model", "--restricted"
    )
    assert "/nowhere/model" in message


def test_weights_from_outside_need_restricted(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "model_index.json").write_text("{}")
    assert "--restricted" in refused("--out", tmp_path / "run", "--recipe", "diffusion", "--model", model)


def test_a_round_made_by_another_plan_is_refused(tmp_path: Path) -> None:
    facts = ("--out", tmp_path, "--recipe", "render", "--engine", "local")
    assert generate(*facts, "--count", 8).returncode == 0
    assert "another plan" in refused(*facts, "--count", 9)


def test_a_full_disk_is_one_clear_line(tmp_path: Path) -> None:
    # A limit on the size of a file fails a write as a full disk does, without needing to be root to mount one.
    script = f"ulimit -f 8; {sys.executable} {ROOT}/jobs/generate.py --out {tmp_path} --recipe render --engine local --count 300"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("error: ") and "Traceback" not in done.stderr


def test_an_out_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "file" in refused("--out", tmp_path / "file" / "run", "--recipe", "render", "--engine", "local")


def test_no_prompts_left_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "empty.txt"
    file.write_text("\n\n")
    assert "is left: 2 empty" in refused(
        "--out", tmp_path / "run", "--prompts", file, "--recipe", "render", "--engine", "local"
    )


@pytest.mark.parametrize("wrong", [("--count", "0"), ("--workers", "x"), ("--recipe", "nope"), ("--engine", "spark")])
def test_bad_use_is_exit_code_2(wrong: tuple[str, str]) -> None:
    refused("--out", "/tmp/unused-hazmat", *wrong)


def test_dry_run_writes_nothing(tmp_path: Path) -> None:
    done = generate("--out", tmp_path / "run", "--recipe", "render", "--count", 600, "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    estimate = json.loads(done.stdout.splitlines()[-1])
    assert estimate["units"] == 3 and estimate["images"] == 600
    assert estimate["expected_bytes"] > 600_000 and estimate["expected_seconds"] > 0
    assert not (tmp_path / "run").exists()


def test_a_million_prompts_are_counted_by_arithmetic(tmp_path: Path) -> None:
    table = tmp_path / "many.csv"
    table.write_text("prompt\n" + "".join(f"a red apple number {number}\n" for number in range(50_000)))
    for config, low, high in (
        (RunConfig(out="x", recipe="render", count=1_000_000), 900_000, 1_000_000),
        (RunConfig(out="x", prompts=str(table)), 50_000, 50_000),
        (RunConfig(out="x", prompts=f"{table},grammar", count=40_000), 40_000, 40_000),
    ):
        started = time.monotonic()
        found = prompt_count(roots(config, GrammarPrompts(0, config.count or 0)), seconds=0.05)
        assert low <= found.items <= high and found.how == "estimated"
        assert time.monotonic() - started < 5
    exact = prompt_count(roots(RunConfig(out="x", prompts=str(table), count=300), []))
    assert (exact.items, exact.how) == (300, "counted")


def test_the_estimate_times_one_warm_batch_and_counts_every_picture_of_a_prompt() -> None:
    facts = RunConfig(out="x", recipe="render", count=40, images_per_prompt=3, engine="local")
    recipe = recipe_of(facts)
    found = calibrate(recipe.plan(roots(facts, recipe.prompts), 0), facts.engine)
    assert found.warm and found.pictures == 3 * found.items and 0 < found.seconds < 5
    assert found.items <= 64 and found.size / found.pictures > 500


def test_the_script_runs_by_itself(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    facts = ["--out", str(tmp_path), "--recipe", "render", "--engine", "local", "--count", "4"]
    assert subprocess.run([ROOT / "jobs" / "generate.py", *facts], env=environment, check=False).returncode == 0
