"""The command lines of training and hardening: exit codes, messages, the summary as the last line, kills, several workers."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file, save_file

from classifiers.saved import Saved
from jobs import harden as harden_job
from jobs import perspective
from jobs import train as train_job
from jobs.command import BAD_INPUT, DONE
from schemas.control_file import control_json
from schemas.errors import InputError
from tests.support.commands import status
from tests.support.labelled_run import labelled_run, trained_model

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
        (("--classifier", "text", "--name", "new", "--start", "models/none"), "train one with jobs/train.py"),
        (("--classifier", "multimodal", "--start", "embedded"), "no multimodal is shipped"),
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


def test_a_finished_classifier_is_replaced_only_where_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    command = (labelled_run().url, "--classifier", "text", "--name", "kept")
    assert status(train_job, *command, *QUICK) == DONE
    assert status(train_job, *command, *QUICK) == DONE, "the same training is done already"
    weights = (Path(labelled_run().url) / "models/kept/model.safetensors").read_bytes()
    capsys.readouterr()
    other = (*command, *QUICK, "--seed", "1")
    assert status(train_job, *other) == BAD_INPUT
    assert "--replace" in (said := capsys.readouterr().err) and "recall" in said
    assert (Path(labelled_run().url) / "models/kept/model.safetensors").read_bytes() == weights
    assert status(train_job, *other, "--replace") == DONE
    probe = (labelled_run().url, "--method", "linear_probe", "--out", Path(labelled_run().url) / "models/kept")
    assert status(perspective, "tune", *probe) == BAD_INPUT and "--replace" in capsys.readouterr().err


def test_what_a_training_starts_from_stays_where_no_epoch_is_better(capsys: pytest.CaptureFixture[str]) -> None:
    start = trained_model("text")
    ruinous = (
        "--learning-rate",
        "5",
        "--epochs",
        "2",
        "--patience",
        "2",
        "--start",
        "text",
        "--name",
        "ruined",
        "--json",
    )
    assert status(train_job, labelled_run().url, "--classifier", "text", *ruinous) == DONE
    metrics = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert metrics["best_epoch"] == 0 and metrics["threshold"] == start.load().threshold
    made, before = Saved(metrics["model"]).load().state_dict(), start.load().state_dict()
    assert all((made[name] == before[name]).all() for name in before)


def test_a_training_goes_on_from_what_is_shipped_unless_scratch_is_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    few = (labelled_run().url, "--classifier", "late_fusion", "--epochs", "1", "--batch", "32", "--json")
    metrics = {}
    for name, more in (("shipped", ()), ("scratch", ("--start", "scratch")), ("named", ("--start", "embedded"))):
        assert status(train_job, *few, "--name", name, *more) == DONE
        out = capsys.readouterr().out.splitlines()
        metrics[name] = json.loads(out[-1])
        assert ("from assets/world/defence/late_fusion" if name != "scratch" else "from scratch:") in out[0]
    assert metrics["shipped"]["start"] == "assets/world/defence/late_fusion" and metrics["scratch"]["start"] is None
    assert metrics["shipped"]["val_loss"] == metrics["named"]["val_loss"]
    right = {name: [found[split]["accuracy"] for split in ("val", "test")] for name, found in metrics.items()}
    assert all(ours > anew for ours, anew in zip(right["shipped"], right["scratch"], strict=True)), right
    assert status(train_job, *few, "--name", "scratch") == DONE, "begun from nothing, it stays that training"
    out = capsys.readouterr().out.splitlines()
    assert "from scratch, as it was begun" in out[0] and json.loads(out[-1]) == metrics["scratch"]


def test_what_does_not_fit_the_shipped_classifier_begins_anew_and_says_why(tmp_path: Path) -> None:
    from classifiers.training.config import Settings
    from classifiers.training.start import with_start

    settings = Settings(classifier="cascade", name="cascade")
    same, clip = tmp_path / "same", tmp_path / "other"
    for folder in (same, clip):
        shutil.copytree("assets/world/clip", folder)
    weights = clip / "model.safetensors"
    save_file({name: np.asarray(one + 1) for name, one in load_file(weights).items()}, weights, {"format": "pt"})
    assert with_start(labelled_run(), replace(settings, clip=str(same)), None, 1)[0].start is not None
    other = replace(settings, clip=str(clip))
    assert with_start(labelled_run(), other, None, 1) == (
        other,
        f"from scratch: the shipped cascade sits on assets/world/clip, not on {clip}",
    )
    with pytest.raises(InputError, match="--start embedded: the shipped cascade sits on"):
        with_start(labelled_run(), other, "embedded", 1)


def test_too_few_rows_are_said_before_training_and_a_test_split_without_labels_costs_no_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = str(tmp_path / "run")
    shutil.copytree(labelled_run().url, url, ignore=shutil.ignore_patterns("models"))
    for path in Path(url, "shards/test").glob("*.parquet"):
        rows = pq.read_table(path)
        for column in ("pair_label", "image_label", "prompt_label"):
            nobody = pa.array(["na"] * len(rows), pa.string())
            rows = rows.set_column(rows.schema.get_field_index(column), column, nobody)
        pq.write_table(rows, path)
        manifest = Path(url, "shards/manifest.json")
        manifest.write_text(with_new_digest(manifest.read_text(), f"test/{path.name}", path))
    assert status(train_job, url, "--classifier", "text", *QUICK, "--json") == DONE
    out = capsys.readouterr()
    metrics = json.loads(out.out.splitlines()[-1])
    assert "test" not in metrics and "has a label" in metrics["missing"]["test"]
    assert "fewer than 100" in out.err and "nothing is measured on test" in out.err
    assert Saved(metrics["model"]).load().threshold == metrics["threshold"]


def with_new_digest(manifest: str, name: str, path: Path) -> str:
    """The manifest with the digest and size that the file has now."""
    parsed = json.loads(manifest)
    for shard in parsed["shards"]:
        for file in shard["files"]:
            if file["name"] == name:
                file |= {"size": path.stat().st_size, "sha256": sha256(path.read_bytes()).hexdigest()}
    return control_json({key: value for key, value in parsed.items() if key not in ("version", "checksum")}).decode()


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
    anew = ("--classifier", "late_fusion", "--start", "scratch", "--false-positive-rate", "0.4")
    quick = (url, *anew, "--epochs", "12", "--patience", "0")
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
