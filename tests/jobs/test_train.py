"""The command lines of training and hardening: exit codes, messages, the summary as the last line, kills, several workers."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from classifiers.saved import Saved
from jobs import harden as harden_job
from jobs import train as train_job
from jobs.command import BAD_INPUT, DONE
from tests.support.commands import status
from tests.support.labelled_run import labelled_run

COMMAND = [sys.executable, "jobs/train.py"]
QUICK = ("--epochs", "2", "--batch", "32", "--patience", "0", "--false-positive-rate", "0.4")


def test_the_last_line_is_the_summary_and_the_classifier_is_where_it_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(train_job, labelled_run().url, "--classifier", "text", "--name", "said", *QUICK, "--json") == DONE
    lines = capsys.readouterr().out.splitlines()
    metrics = json.loads(lines[-1])
    assert metrics == json.loads((Path(metrics["model"]) / "metrics.json").read_text())
    assert Saved(metrics["model"]).load().threshold == metrics["threshold"]
    assert metrics["val"]["false_positive_rate"] <= 0.4 and metrics["test"]["n"] > 0
    assert lines[0].startswith("text at ") and lines[-2].startswith("root ") and len(lines) == 6


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--classifier", "nothing"), "expected one of"),
        (("--classifier", "vision_language"), "is not trained on a run's rows like the others"),
        (("--classifier", "text", "--clip", "assets/world/nowhere"), "no such directory"),
        (("--classifier", "text", "--adversarial", "both", "--epsilon", "8"), "expected pixel units from 0 to 1"),
        (("--classifier", "text", "--start", "models/none"), "train one with jobs/train.py"),
        (("--classifier", "text", "--false-positive-rate", "0"), "expected a share in (0, 1)"),
        (("--classifier", "text", "--token-budget", "-1"), "greater than or equal to 0"),
        (("--classifier", "text", "--adversarial", "0.0078"), "is not one of 'none', 'image', 'prompt', 'both'"),
        (("--classifier", "text", "--workers", "2"), "write --training-workers"),
    ],
)
def test_what_cannot_be_trained_is_bad_input(
    arguments: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(train_job, labelled_run().url, *arguments) == BAD_INPUT
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error


def test_a_run_without_shards_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run.json").write_bytes((Path(labelled_run().url) / "run.json").read_bytes())
    assert status(train_job, str(tmp_path), "--classifier", "text") == BAD_INPUT
    assert "run jobs/shards.py" in capsys.readouterr().err


def test_hardening_adds_labelled_variants_and_is_done_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = str(tmp_path / "run")
    shutil.copytree(labelled_run().url, url, ignore=shutil.ignore_patterns("models"))
    given = (
        url, "--classifier", "image", "--name", "harder", "--attacks", "fgsm,recompress", "--samples", "12", "--epochs", "1",
        "--labellers", "scene_truth,prompt_truth", "--engine", "local", "--false-positive-rate", "0.4", "--json",
    )  # fmt: skip
    assert status(train_job, url, "--classifier", "image", *QUICK) == DONE
    assert status(harden_job, *given) == DONE
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    made = summary["rounds"][0]["variants"]
    assert sum(made.values()) > 12 and all("-attack-image-fgsm-recompress" in name for name in made)
    shards = f"'{url}/shards/*/*.parquet'"
    counts = duckdb.sql(f"""
        SELECT split, count(*), count(image_label), count(DISTINCT attack.name) FROM {shards} WHERE NOT clean GROUP BY ALL
    """).fetchall()
    assert {row[0] for row in counts} <= {"train", "val"} and all(row[1] == row[2] for row in counts)
    digest = Saved(summary["model"]).digest()
    folders = sorted(path.name for path in (Path(url) / "rounds").iterdir())
    assert status(harden_job, *given) == DONE
    assert sorted(path.name for path in (Path(url) / "rounds").iterdir()) == folders
    assert Saved(summary["model"]).digest() == digest


@pytest.mark.slow
def test_a_training_killed_in_an_epoch_ends_with_the_same_weights() -> None:
    url = labelled_run().url
    quick = (
        url,
        "--classifier",
        "late_fusion",
        "--epochs",
        "400",
        "--batch",
        "16",
        "--patience",
        "0",
        "--false-positive-rate",
        "0.4",
    )
    whole = subprocess.run([*COMMAND, *quick, "--name", "whole", "--json"], check=True, capture_output=True, text=True)
    digest = Saved(json.loads(whole.stdout.splitlines()[-1])["model"]).digest()
    kept = Path(url) / "models/killed/training/checkpoint.safetensors"
    for _ in range(3):
        with subprocess.Popen(
            [*COMMAND, *quick, "--name", "killed"],
            env=os.environ | {"HAZMAT_CHECKPOINT_SECONDS": "0.2"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            seen = kept.stat().st_mtime_ns if kept.exists() else 0
            while process.poll() is None and (not kept.exists() or kept.stat().st_mtime_ns == seen):
                time.sleep(0.02)
            assert process.poll() is None, "it was done before it could be killed; give it more epochs"
            process.send_signal(signal.SIGKILL)
    subprocess.run([*COMMAND, *quick, "--name", "killed"], check=True, capture_output=True)
    assert Saved(f"{url}/models/killed").digest() == digest


@pytest.mark.slow
def test_two_workers_follow_the_loss_curve_of_one_with_double_the_batch() -> None:
    url = labelled_run().url
    quick = (url, "--classifier", "late_fusion", "--epochs", "12", "--patience", "0", "--false-positive-rate", "0.4")
    for name, more in (("one", ("--batch", "32")), ("two", ("--batch", "16", "--training-workers", "2"))):
        subprocess.run([*COMMAND, *quick, "--name", f"by-{name}", *more], check=True)
    curves = [
        [row[0] for row in duckdb.sql(f"""
            SELECT loss FROM '{url}/models/by-{name}/training/log.parquet' WHERE split = 'val' ORDER BY epoch
        """).fetchall()]
        for name in ("one", "two")
    ]  # fmt: skip
    assert len(curves[0]) == len(curves[1]) == 12
    assert all(abs(one - two) < 0.1 * one for one, two in zip(*curves, strict=True)), curves
