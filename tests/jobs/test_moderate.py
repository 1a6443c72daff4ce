"""The moderator's command: folders, shards and runs; resumed, bounded, and clear about what it cannot read."""

import io
import json
import os
import subprocess
import sys
import tarfile
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from classifiers.data.labelled_pictures import Pictures
from classifiers.layers.encoder import Encoder
from classifiers.models.linear_probe import LinearProbe
from classifiers.moderation import predictions
from classifiers.moderation.predictions import Question, answer
from classifiers.moderation.sources import source_of
from classifiers.perspective import fit_probes
from classifiers.saved import load
from jobs.moderate import judge
from pipeline.storage.open_store import open_store
from pipeline.storage.weights import model_directory
from schemas.errors import InputError
from schemas.taxonomy import UNSAFEBENCH
from tests.support.labelled_run import labelled_run, trained_model

ROOT = Path(__file__).parents[2]


@cache
def probe() -> str:
    """Linear probes trained on the small run."""
    folder = Path(mkdtemp(prefix="hazmat-moderate-"))
    torch.manual_seed(0)
    model = LinearProbe(Encoder.from_directory(model_directory("assets/world/clip")), UNSAFEBENCH.ids, "probe")
    fit_probes.fit(model, Pictures.of(labelled_run(), "train"), fit_probes.Recipe(epochs=60, rate=1e-3))
    model.save(folder)
    return str(folder)


@cache
def pictures() -> Path:
    """Nine pictures of the small run as files in sorted order, one of them large, and one file that is no picture."""
    folder = Path(mkdtemp(prefix="hazmat-pictures-"))
    some = Pictures.of(labelled_run(), "train")
    (folder / "below").mkdir()
    for row in range(9):
        picture = Image.fromarray(some.pixels(row))
        picture = picture.resize((1500, 900)) if row == 4 else picture
        picture.save(folder / ("below" if row % 2 else ".") / f"{row}.{'png' if row % 3 else 'webp'}", lossless=True)
    (folder / "torn.jpg").write_bytes(b"\xff\xd8 no picture")
    (folder / "notes.txt").write_text("not asked about")
    return folder


def question(folder: Path, scope: str | None = None) -> tuple[Any, Any, Question]:
    model, digest = judge(probe(), scope)
    source = source_of(str(folder))
    return model, source, Question(str(folder), len(source.items), source.digest(), "probe", digest, model.categories)


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [row for part in sorted(folder.glob("part-*.parquet")) for row in pq.read_table(part).to_pylist()]


def test_every_picture_gets_safety_category_and_score_and_a_torn_one_a_reason(tmp_path: Path) -> None:
    model, source, asked = question(pictures())
    assert sum(answer(model, source, open_store(str(tmp_path)), asked, batch=4)) == 10
    rows = {row["key"]: row for row in rows_of(tmp_path)}
    assert set(rows) == {item.key for item in source.items} and len(rows) == 10
    torn = rows.pop("torn.jpg")
    assert torn["safety"] == "unreadable" and torn["score"] is None
    assert torn["reason"] == "the file is no PNG, JPEG or WEBP picture, or its beginning is damaged"
    for row in rows.values():
        assert row["safety"] == ("unsafe" if row["score"] > model.threshold else "safe")
        assert (row["category"] in UNSAFEBENCH.ids) == (row["safety"] == "unsafe")
        assert dict(row["scores"]).keys() == set(UNSAFEBENCH.ids)
    alone = load(probe()).predict(None, [pictures() / "below" / "1.png"])
    assert rows["below/1.png"]["score"] == pytest.approx(float(alone.unsafe["image"][0]), abs=1e-4)


def test_what_was_judged_is_not_judged_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictions, "PART", 3)
    model, source, asked = question(pictures())
    out = open_store(str(tmp_path))
    stopped = answer(model, source, out, asked, batch=2)
    assert next(stopped) == 3, "killed after the first part"
    first = (tmp_path / "part-000000.parquet").stat().st_mtime_ns
    assert list(answer(model, source, out, asked, batch=2)) == [3, 3, 1]
    assert (tmp_path / "part-000000.parquet").stat().st_mtime_ns == first
    assert list(answer(model, source, out, asked, batch=2)) == []
    with pytest.raises(InputError, match="another question"):
        list(answer(*question(pictures(), "hate")[:2], out, question(pictures(), "hate")[2], batch=2))


def test_what_is_unsafe_outside_of_the_scope_only_is_safe(tmp_path: Path) -> None:
    model, source, asked = question(pictures())
    list(answer(model, source, open_store(str(tmp_path / "all")), asked, batch=8))
    wide = [row for row in rows_of(tmp_path / "all") if row["safety"] == "unsafe"]
    assert wide, "the set has unsafe pictures"
    category = wide[0]["category"]
    narrow, source, asked = question(pictures(), category)
    list(answer(narrow, source, open_store(str(tmp_path / "one")), asked, batch=8))
    answers = {row["key"]: row for row in rows_of(tmp_path / "one")}
    for row in wide:
        assert (answers[row["key"]]["safety"] == "unsafe") == (dict(row["scores"])[category] > narrow.threshold)


def test_tars_and_runs_are_read_in_place(tmp_path: Path) -> None:
    run = Path(labelled_run().url)
    committed = source_of(str(run))
    assert len(committed.items) == 160
    shards = source_of(str(run / "shards"))
    assert 0 < len(shards.items) <= 160 and all(item.key.endswith(".png") for item in shards.items)
    for source in (committed, shards):
        with Image.open(io.BytesIO(source.read(source.items[0]))) as picture:
            assert picture.size == (64, 64)
    with tarfile.open(tmp_path / "one.tar", "w") as tar:
        tar.add(pictures() / "below" / "1.png", "deep/1.png")
    assert [item.key for item in source_of(str(tmp_path / "one.tar")).items] == ["one.tar/deep/1.png"]


def test_bad_use_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        source_of(str(tmp_path / "gone"))
    with pytest.raises(InputError, match="no pictures here"):
        source_of(str(tmp_path))
    (tmp_path / "x.tar").write_bytes(b"nonsense" * 200)
    with pytest.raises(InputError, match="no tar that can be read"):
        source_of(str(tmp_path / "x.tar"))
    with pytest.raises(InputError, match="can't be asked about fruit"):
        judge(probe(), "hate,fruit")
    with pytest.raises(InputError, match="reads prompt"):
        judge(trained_model("text").folder, None)
    with pytest.raises(InputError, match="--scope needs"):
        judge(trained_model("image").folder, "hate")


@pytest.mark.slow
def test_the_command_tells_counts_and_exits_3_for_unreadable_pictures(tmp_path: Path) -> None:
    command = [sys.executable, "jobs/moderate.py", str(pictures()), "--classifier", probe(), "--out", str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*command, "--json"], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["pictures"] == 10 and summary["unreadable"] == 1
    assert summary["safe"] + summary["unsafe"] == 9 == summary["judged_now"] - 1
    assert sum(summary["categories"].values()) == summary["unsafe"]
    again = subprocess.run([*command, "--json"], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert json.loads(again.stdout.splitlines()[-1])["judged_now"] == 0
    wrong = subprocess.run(
        [*command, "--scope", "fruit"], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 2 and wrong.stderr.startswith("error: ") and "fruit" in wrong.stderr
