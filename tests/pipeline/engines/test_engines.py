"""The same plan gives the same bytes under both engines, whatever fails on the way."""

import tarfile
from pathlib import Path

import pytest

from pipeline.engines.unit import BrokenStageError
from pipeline.rounds.round import AnotherPlanError
from tests.support.misbehaving import Broken, DropThirds, Misbehave, Paint
from tests.support.runs import NAME, carry_out, digest, plan_of, rows, texts

ENGINES = ["local", pytest.param("ray", marks=pytest.mark.timeout(240))]


def test_two_workers_on_ray_give_the_bytes_of_one_process(tmp_path: Path) -> None:
    plan = plan_of(texts(40), Paint(), DropThirds(), images=2)
    local = digest(carry_out(tmp_path / "local", plan))
    assert digest(carry_out(tmp_path / "ray", plan, "ray", workers=2)) == local


@pytest.mark.parametrize("engine", ENGINES)
def test_a_sample_that_raises_costs_exactly_itself(tmp_path: Path, engine: str) -> None:
    plan = plan_of(texts(20, **{"raise": 5, "nan": 11}), Paint(), Misbehave())
    carry_out(tmp_path, plan, engine)
    assert rows(tmp_path).num_rows == 18
    lost = rows(tmp_path, "quarantine").to_pylist()
    assert [(row["prompt"].split()[-1], row["how"]) for row in lost] == [("raise", "raised"), ("nan", "invalid")]
    assert all(row["stage"] == "misbehave" for row in lost)


def test_a_sample_that_kills_its_worker_costs_exactly_itself_on_ray(tmp_path: Path) -> None:
    plan = plan_of(texts(20, kill=6), Paint(), Misbehave())
    carry_out(tmp_path, plan, "ray")
    assert rows(tmp_path).num_rows == 19
    (lost,) = rows(tmp_path, "quarantine").to_pylist()
    assert lost["prompt"].endswith("kill") and lost["how"] == "killed" and "SIGKILL" in lost["message"]


def test_fan_out_and_filter_count_every_row(tmp_path: Path) -> None:
    round_ = carry_out(tmp_path, plan_of(texts(30), Paint(), DropThirds(), images=3))
    receipts = list(round_.receipts())
    table = rows(tmp_path)
    assert sum(r.samples for r in receipts) == table.num_rows
    assert sum(r.samples + r.dropped for r in receipts) == 90
    assert len(set(table["key"].to_pylist())) == table.num_rows
    assert set(table["parent"].to_pylist()) <= set(table["root"].to_pylist())


def test_offsets_in_the_rows_find_the_pictures_in_the_tar(tmp_path: Path) -> None:
    carry_out(tmp_path, plan_of(texts(8), Paint()))
    tar = tmp_path / "rounds" / NAME / "raw" / "unit-000000.tar"
    data = tar.read_bytes()
    with tarfile.open(tar) as file:
        members = {m.name: file.extractfile(m).read() for m in file.getmembers()}  # type: ignore[union-attr]
        assert all(m.mtime == 0 for m in file.getmembers())
    assert sorted(members) == list(members)
    for row in rows(tmp_path).to_pylist():
        start = row["tar_offset"]
        assert data[start : start + row["tar_size"]] == members[f"{row['key']}.png"]


def test_a_torn_or_missing_file_makes_its_unit_pending_again(tmp_path: Path) -> None:
    plan = plan_of(texts(24), Paint())
    before = digest(carry_out(tmp_path, plan))
    raw = tmp_path / "rounds" / NAME / "raw"
    (raw / "unit-000001.tar").write_bytes(b"torn")
    (raw / "unit-000002.parquet").unlink()
    assert digest(carry_out(tmp_path, plan)) == before


def test_a_finished_run_is_not_computed_again(tmp_path: Path) -> None:
    plan = plan_of(texts(8), Paint())
    carry_out(tmp_path, plan)
    receipt = tmp_path / "rounds" / NAME / "receipts" / "unit-000000.json"
    before = receipt.stat().st_mtime_ns
    carry_out(tmp_path, plan)
    assert receipt.stat().st_mtime_ns == before


def test_another_plan_is_refused_and_says_what_differs(tmp_path: Path) -> None:
    carry_out(tmp_path, plan_of(texts(8), Paint()))
    with pytest.raises(AnotherPlanError, match="the prompts"):
        carry_out(tmp_path, plan_of(texts(9), Paint()))
    with pytest.raises(AnotherPlanError, match="settings"):
        carry_out(tmp_path, plan_of(texts(8), Paint(batch_size=2)))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_stage_that_fails_on_everything_stops_the_run(tmp_path: Path, engine: str) -> None:
    with pytest.raises(BrokenStageError, match="no sample can please me"):
        carry_out(tmp_path, plan_of(texts(8), Paint(), Broken()), engine)
