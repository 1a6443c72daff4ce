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

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from classifiers.data.labelled_pictures import LabelledPictures
from classifiers.layers.encoder import ClipEncoder
from classifiers.models.linear_probe import LinearProbe
from classifiers.moderation import predictions
from classifiers.moderation.doubt import NOTHING
from classifiers.moderation.predictions import Question, answer
from classifiers.moderation.sources import source_of
from classifiers.perspective import fit_probes
from classifiers.saved import load
from classifiers.training.pictures_of_nothing import KINDS, UNMET
from jobs import moderate
from jobs.moderate import judge
from pipeline.storage.open_store import open_store
from pipeline.storage.weights import model_directory
from schemas.errors import InputError
from schemas.taxonomy import UNSAFEBENCH
from tests.support.commands import call as run_here
from tests.support.labelled_run import labelled_run, trained_model

ROOT = Path(__file__).parents[2]


@cache
def probe() -> str:
    """Linear probes trained on the small run."""
    folder = Path(mkdtemp(prefix="hazmat-moderate-"))
    torch.manual_seed(0)
    model = LinearProbe(ClipEncoder.from_directory(model_directory("assets/world/clip")), UNSAFEBENCH.ids, "probe")
    fit_probes.fit(model, LabelledPictures.of(labelled_run(), "train"), fit_probes.ProbeRecipe(epochs=60, rate=1e-3))
    model.save(folder)
    return str(folder)


@cache
def pictures() -> Path:
    """Nine pictures of the small run as files in sorted order, one of them large, and one file that is no picture."""
    folder = Path(mkdtemp(prefix="hazmat-pictures-"))
    some = LabelledPictures.of(labelled_run(), "train")
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
    assert torn["reason"].startswith("the file is no PNG") and torn["reason"].endswith("or its beginning is damaged")
    for row in rows.values():
        assert row["safety"] == ("unsafe" if row["score"] > model.threshold else "safe")
        assert (row["category"] in UNSAFEBENCH.ids) == (row["safety"] == "unsafe")
        assert dict(row["scores"]).keys() == set(UNSAFEBENCH.ids)
    alone = load(probe()).predict(None, [pictures() / "below" / "1.png"])
    assert rows["below/1.png"]["score"] == pytest.approx(float(alone.unsafe["image"][0]), abs=1e-4)


CASES = ROOT / "tests" / "data" / "cases"


@cache
def committed_probe() -> Any:
    """What the command takes unless told otherwise."""
    return judge("assets/world/linear_probe", None)[0]


def answers(folder: Path) -> dict[str, dict[str, Any]]:
    source = source_of(str(folder))
    return {row["key"]: row for row in predictions.judged(committed_probe(), source, source.items, batch=4)}


def test_the_case_of_an_unsafe_second_frame_is_unsafe() -> None:
    rows = answers(CASES / "animated")
    assert {key: row["safety"] for key, row in rows.items()} == {
        "anim.webp": "unsafe",
        "bad.png": "unsafe",
        "good.png": "safe",
    }
    assert (rows["anim.webp"]["frame"], rows["anim.webp"]["frames"]) == (1, 2)
    assert rows["anim.webp"]["score"] == pytest.approx(rows["bad.png"]["score"], abs=0.01)
    alone = committed_probe().predict(
        None, [CASES / "animated" / name for name in ("anim.webp", "good.png", "bad.png")]
    )
    assert alone.flagged.tolist() == [True, False, True]
    assert alone.unsafe["image"][0] == pytest.approx(rows["anim.webp"]["score"], abs=1e-5)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "AVIF", "TIFF"])
@pytest.mark.parametrize("place", [0, 1, 4])
def test_one_unsafe_frame_of_five_is_found_wherever_it_is(tmp_path: Path, kind: str, place: int) -> None:
    good, bad = (Image.open(CASES / "animated" / f"{name}.png").convert("RGB") for name in ("good", "bad"))
    shown = [bad if number == place else good.rotate(number, fillcolor="white") for number in range(5)]
    settings = {"WEBP": {"lossless": True}, "AVIF": {"quality": 90}}.get(kind, {})
    shown[0].save(tmp_path / "a.bin", kind, save_all=True, append_images=shown[1:], **settings)
    row = answers(tmp_path)["a.bin"]
    assert (row["safety"], row["frame"], row["frames"]) == ("unsafe", place, 5)


def test_what_follows_a_readable_frame_and_cannot_be_read_is_never_safe(tmp_path: Path) -> None:
    for name, levels in (("safe", ("good", "good")), ("unsafe", ("bad", "good"))):
        first, second = (Image.open(CASES / "animated" / f"{level}.png").convert("RGB") for level in levels)
        first.save(tmp_path / f"{name}.tiff", save_all=True, append_images=[second], compression="tiff_adobe_deflate")
        data = bytearray((tmp_path / f"{name}.tiff").read_bytes())
        last = data.rindex(b"\x78\x9c")  # the second page's stream
        data[last : last + 40] = bytes(40)
        (tmp_path / f"{name}.tiff").write_bytes(data)
    rows = answers(tmp_path)
    assert rows["safe.tiff"]["safety"] == "unreadable" and rows["unsafe.tiff"]["safety"] == "unsafe"
    assert rows["safe.tiff"]["reason"] and rows["unsafe.tiff"]["reason"]


def test_the_cases_of_orientation_and_16_bits_are_judged_as_people_see_them() -> None:
    for folder, first, second in (
        ("exif_orientation", "tagged/4730fa88.jpg", "upright/4730fa88.jpg"),
        ("png_16bit", "12255f39_16bit.png", "12255f39_8bit.png"),
    ):
        rows = answers(CASES / folder)
        assert rows[first]["score"] == pytest.approx(rows[second]["score"], abs=0.01)


def test_the_case_of_a_replaced_file_is_judged_anew(tmp_path: Path) -> None:
    """Equal name, size and time: today's answers are not yesterday's."""
    files = {name: (CASES / "same_size_replaced" / f"{name}.png").read_bytes() for name in ("good", "bad")}
    size = max(len(data) for data in files.values())
    (tmp_path / "given").mkdir()
    found = []
    for name in ("good", "bad"):
        (tmp_path / "given/a.png").write_bytes(files[name].ljust(size, b"\0"))
        os.utime(tmp_path / "given/a.png", (1, 1))
        source = source_of(str(tmp_path / "given"))
        model = committed_probe()
        asked = Question("given", 1, source.digest(), "probe", "digest", model.categories)
        if name == "bad":
            with pytest.raises(InputError, match="another question"):
                list(answer(model, source, open_store(str(tmp_path / "good")), asked, batch=1))
        list(answer(model, source, open_store(str(tmp_path / name)), asked, batch=1))
        found += [row["safety"] for row in rows_of(tmp_path / name)]
    assert found == ["safe", "unsafe"]


def test_what_was_passed_over_is_listed_with_its_reason(tmp_path: Path) -> None:
    source = source_of(str(CASES / "stray_tar"))
    model = committed_probe()
    asked = Question("stray", 4, source.digest(), "probe", "digest", model.categories)
    assert sum(answer(model, source, open_store(str(tmp_path)), asked, batch=4)) == 4
    listed = pq.read_table(tmp_path / predictions.PASSED_OVER).to_pylist()
    assert [row["key"] for row in listed] == ["notes.tar/notes.txt", "notes.txt"]
    assert source.reasons() == {"no picture by its first bytes and its name": 2} == {listed[0]["reason"]: 2}


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
    with pytest.raises(InputError, match="no picture or tar that can be read"):
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
    assert sum(summary["passed_over"].values()) == 1
    assert summary["pictures"] == 10 and summary["unreadable"] == 1
    assert summary["safe"] + summary["unsafe"] == 9 == summary["judged_now"] - 1
    assert sum(summary["categories"].values()) == summary["unsafe"]
    again = subprocess.run([*command, "--json"], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert json.loads(again.stdout.splitlines()[-1])["judged_now"] == 0
    wrong = subprocess.run(
        [*command, "--scope", "fruit"], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 2 and wrong.stderr.startswith("error: ") and "fruit" in wrong.stderr


def test_pictures_of_nothing_are_unsure_and_pictures_of_the_world_are_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw = np.random.default_rng(0)
    for number in range(6):
        for name, maker in {**KINDS, **UNMET}.items():
            Image.fromarray(maker(draw)).save(tmp_path / f"{name}-{number}.png")
    Image.new("RGB", (640, 480), "white").save(tmp_path / "surface-white.png")
    some = LabelledPictures.of(labelled_run(), "train")
    for row in range(40):
        Image.fromarray(some.pixels(row)).save(tmp_path / f"world-{row}.png")

    def answers(*more: str) -> dict[str, list[str]]:
        out = tmp_path / f"out{len(more)}"
        assert run_here(moderate, tmp_path, "--out", out, "--json", *more) == 0
        found: dict[str, list[str]] = {}
        for row in rows_of(out):
            found.setdefault(row["key"].rpartition("-")[0], []).append(row["safety"])
            assert (row["reason"] == NOTHING) == (row["safety"] == "unsure")
        return found

    said = answers()
    assert said["world"].count("unsure") <= 1
    for name in ("surface", "white_noise", "gradient", "stripes", "clouds"):
        assert said[name].count("unsure") >= len(said[name]) - 1, (name, said[name])
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["unsure"] == sum(each.count("unsure") for each in said.values())
    decided = answers("--always-decide")
    assert not any("unsure" in each for each in decided.values()) and "unsafe" in decided["surface"]
