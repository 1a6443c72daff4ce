"""A run that was made by the code of 40a546b still opens, verifies, goes on, shards and evaluates (`data/recorded_run/`).

`tests/support/recorded.py` made it.
"""

import json
import shutil
import tarfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from classifiers.saved import load
from tests.support import golden
from tests.support.recorded import FACTS, FOLDER, GENERATE, MODEL, evaluated, shards_digest

KEPT = json.loads(FACTS.read_text())


@pytest.fixture
def run(tmp_path: Path) -> golden.Run:
    """A copy that a test may change."""
    return golden.Run(Path(shutil.copytree(FOLDER, tmp_path / "moved")))


def contents(run: golden.Run) -> dict[tuple[str, str], bytes]:
    """What lies in the tars of the shards, by ending and by file and key."""
    found = {}
    for path in sorted(run.folder.glob("shards/*/*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                key, _, ending = member.name.partition(".")
                file = tar.extractfile(member)
                assert file is not None
                found[ending, f"{path.parent.name}/{path.name} {key}"] = file.read()
    return found


def test_it_opens_and_answers_questions(run: golden.Run) -> None:
    (row,) = run.on("query", "SELECT count(*) AS n FROM samples", "--format", "json")
    assert row == {"n": KEPT["samples"]}
    samples = pq.read_table(run.folder / "catalogue" / "samples.parquet")
    assert samples.num_rows == KEPT["samples"]
    assert {"safe", "unsafe"} <= set(samples["prompt_label"].to_pylist())
    assert set(samples["split"].to_pylist()) >= {"train", "val", "test"}


def test_it_verifies_to_the_same_digest(run: golden.Run) -> None:
    assert run.verified() == KEPT["run"]


def test_a_unit_that_was_lost_is_made_again_with_the_same_keys_and_pictures(run: golden.Run) -> None:
    """Its rows have the columns of today, and so another digest."""
    name = "rounds/000-generate/raw/unit-000000"
    before = pq.read_table(run.folder / f"{name}.parquet", columns=["key", "prompt", "image_sha256"])
    (run.folder / "rounds/000-generate/receipts/unit-000000.json").unlink()
    (run.folder / f"{name}.tar").unlink()
    made = run.call("generate", "--out", str(run.folder), *GENERATE)
    assert made["images_per_second"] > 0 and run.verified()
    after = pq.read_table(run.folder / f"{name}.parquet")
    assert after.select(["key", "prompt"]).equals(before.select(["key", "prompt"]))
    if not golden.unlike(KEPT["fingerprint"]):  # else these bytes are not promised here
        assert after["image_sha256"].equals(before["image_sha256"])


def test_the_same_commands_find_nothing_left_to_do(run: golden.Run) -> None:
    """Another plan would be refused, or begin a further round beside the old one: it is the same on every machine."""
    rounds = sorted(path.name for path in (run.folder / "rounds").iterdir())
    made = run.call("generate", "--out", str(run.folder), *GENERATE)
    assert made["digest"] == KEPT["round"] and made["images_per_second"] == 0
    assert sorted(path.name for path in (run.folder / "rounds").iterdir()) == rounds
    assert run.verified() == KEPT["run"]


def test_its_shards_are_renewed_in_the_layout_of_today(run: golden.Run) -> None:
    """They had no `KEY.txt` and `KEY.cls`; what they hold, and which split a sample is in, stays."""
    before = contents(run)
    assert {ending for ending, _ in before} == {"json", "png"}
    run.on("shards", "--engine", "local")
    after = contents(run)
    assert {ending for ending, _ in after} == {"cls", "json", "png", "txt"}
    pictures = {name: data for name, data in before.items() if name[0] == "png"}
    assert pictures.items() <= after.items() and before.keys() <= after.keys() and run.verified()
    renewed = shards_digest(run)
    for name in ("shards", "keep.parquet", "catalogue"):
        path = run.folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    run.on("shards", "--engine", "local")
    assert shards_digest(run) == renewed and run.verified()


@pytest.mark.slow
def test_its_classifier_loads_and_is_judged_again_to_the_same_scores(run: golden.Run) -> None:
    """Chunks of results bear the identity of the code that made them: old ones are not taken for those of today."""
    assert load(run.folder / "models" / MODEL).threshold == pytest.approx(KEPT["threshold"])
    unattacked = {row["key"]: row["score"] for row in run.rows("results/**/none/*.parquet")}
    first = evaluated(run)
    written = {path: path.stat().st_mtime_ns for path in run.folder.glob("results/**/*.parquet")}
    assert {row["key"]: row["score"] for row in run.rows("results/**/none/*.parquet")} == pytest.approx(
        unattacked, abs=1e-5
    )
    assert evaluated(run) == first
    assert {path: path.stat().st_mtime_ns for path in run.folder.glob("results/**/*.parquet")} == written
