"""The demo walks the whole street, and its last table comes out of the rows that it left."""

from pathlib import Path

import duckdb
import pytest

from jobs import demo
from tests.support.commands import call


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_demo_generates_attacks_labels_shards_trains_and_evaluates(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(demo, "PAIRS", 192)
    assert call(demo, "--out", tmp_path) == 0
    said = capfd.readouterr().out
    assert "missed under attack" in said and "pgd (adaptive)" in said and "worst case of each sample" not in said
    tables = (tmp_path / "results/test/summary-cascade.txt").read_text()
    for table in ("rows as they are", "under attack", "worst case of each sample", "sanity"):
        assert table in tables, table
    rows = duckdb.sql(f"""
        SELECT scorer, setting, count(*) FROM read_parquet('{tmp_path}/results/test/*/*/*.parquet') GROUP BY ALL
    """).fetchall()
    seen = {(scorer, setting) for scorer, setting, _ in rows}
    assert {(name, "clean") for name in demo.CLASSIFIERS} <= seen
    assert {("late_fusion", "static"), ("cascade", "control"), ("cascade", "adaptive"), ("cascade", "sanity")} <= seen
    assert (tmp_path / "contact_sheet.png").is_file() and (tmp_path / "models/cascade/model.safetensors").is_file()
