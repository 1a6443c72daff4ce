"""A run answers questions, wherever it lies: SQL, pictures, why, regenerate."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from bench.shards.documented import documented_queries
from jobs import generate, query
from jobs.recipes.named import recipe_of
from pipeline.catalogue.answers import collect
from pipeline.catalogue.question import asked, confined
from pipeline.catalogue.views import VIEWS, open_views, refresh
from pipeline.engines.engine import EngineOptions
from pipeline.pack import parquet_bytes
from pipeline.rounds.audit_log import entries
from pipeline.rounds.existing_run import existing_run, write_facts
from pipeline.storage.local_store import LocalStore
from schemas.errors import InputError
from stages.rounds.shards_round import make_shards
from tests.support.commands import call
from tests.support.planted import pair, plant, shards, variant


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 rendered pairs of the grammar, two of them attacked, sharded."""
    folder = tmp_path_factory.mktemp("query") / "run"
    call(generate, "--out", str(folder), "--recipe", "render", "--count", "40", "--engine", "local")
    store, config = existing_run(str(folder))
    plant(str(folder), [variant(pair(number)) for number in range(2)], folder.parent / "files")
    write_facts(store, config, {})
    make_shards(store, config, recipe_of(config).sharding(), EngineOptions())
    return folder


@pytest.fixture
def key(run: Path) -> str:
    """A generated sample's."""
    [(found,)] = duckdb.sql(f"SELECT min(key) FROM '{run}/rounds/000-generate/raw/*.parquet'").fetchall()
    return str(found)


@pytest.mark.parametrize(("title", "sql"), list(documented_queries()), ids=lambda text: text[:40])
def test_a_documented_query_runs(run: Path, title: str, sql: str) -> None:
    store, _ = existing_run(str(run))
    refresh(store)
    with confined(store) as con, asked(con, sql) as reader:
        answer = collect(reader)
    filled = ("balanced", "test set", "attack", "wrong", "cost", "quality")
    assert answer.columns and (bool(answer.rows) or not any(word in title for word in filled))
    assert not answer.rows or "leak" not in title


def test_there_are_ten_documented_queries() -> None:
    assert len(list(documented_queries())) == 10


def test_every_view_is_there_before_anything_else_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call(generate, "--out", str(tmp_path), "--recipe", "render", "--count", "3", "--engine", "local")
    for view in VIEWS:
        assert call(query, str(tmp_path), f"SELECT count(*) FROM {view}") == 0


def test_a_moved_run_is_read_where_it_is_now(tmp_path: Path) -> None:
    store = plant(str(tmp_path / "here"), [pair(number) for number in range(20)], tmp_path / "files")
    shards(store)
    there = (tmp_path / "here").rename(tmp_path / "there")
    with duckdb.connect() as con:
        con.execute(f"SET VARIABLE run = '{there}'")
        con.execute((there / "catalog.sql").read_text())
        assert con.execute("SELECT count(*) FROM samples WHERE kept").fetchall() == [(20,)]
        assert con.execute("SELECT sum(samples) FROM shards").fetchall() == [(20,)]
    assert not refresh(LocalStore(there)), "nothing in it names the old place"


def test_the_catalogue_follows_the_run(tmp_path: Path) -> None:
    store = plant(str(tmp_path / "run"), [pair(0)], tmp_path / "files")
    assert refresh(store) and not refresh(store)
    plant(store.url, [pair(1)], tmp_path / "files")
    assert refresh(store)


def test_results_and_labels_show_with_whatever_columns_their_makers_chose(tmp_path: Path) -> None:
    store = plant(str(tmp_path / "run"), [pair(0)], tmp_path / "files")
    key = pair(0).sample.key
    store.write("results/a.parquet", parquet_bytes(pa.Table.from_pylist([{"key": key, "attack": {"name": "pgd"}}])))
    store.write("labels.parquet", parquet_bytes(_labels(key)))
    refresh(store)
    with duckdb.connect() as con:
        open_views(con, store)
        assert con.execute("SELECT attack.name FROM results").fetchall() == [("pgd",)]
        assert con.execute("SELECT posterior FROM labels").fetchall() == [(0.9,)]
        assert con.execute("SELECT pair_label, pair_categories, image_label FROM samples").fetchall() == [
            ("safe", "", None)
        ]


def _labels(key: str) -> pa.Table:
    row = {"key": key, "scope": "pair", "label": "safe", "categories": [], "posterior": 0.9}
    columns = {name: pa.array([value], pa.list_(pa.string()) if value == [] else None) for name, value in row.items()}
    return pa.table(columns)


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_answers_come_in_three_forms(
    run: Path, form: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sql = "SELECT split, count(*) AS samples FROM samples WHERE clean GROUP BY split ORDER BY split"
    assert call(query, str(run), sql, "--format", form) == 0
    out = capsys.readouterr().out
    rows: list[Any] = json.loads(out) if form == "json" else list(csv.DictReader(io.StringIO(out)))
    if form != "table":
        assert sum(int(row["samples"]) for row in rows) == 40
    assert "train" in out


def test_pictures_are_blurred_until_asked_for_and_each_reveal_is_kept(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql = "SELECT key FROM samples ORDER BY key LIMIT 3"
    call(query, str(run), sql, "--images", str(tmp_path / "blurred"))
    assert not (run / "audit").exists()
    call(query, str(run), sql, "--images", str(tmp_path / "clear"), "--reveal")
    (entry,) = entries(LocalStore(run))
    said = entry.details
    names = {path.stem for path in (tmp_path / "clear").iterdir()}
    assert set(said["keys"]) == names == {path.stem for path in (tmp_path / "blurred").iterdir()}
    assert said["question"] == sql and entry.user and entry.action == "reveal"
    for name in names:
        clear, blurred = (
            np.asarray(Image.open(tmp_path / kind / f"{name}.png").convert("L"), float) for kind in ("clear", "blurred")
        )
        assert np.abs(np.diff(blurred)).max() < 16 < np.abs(np.diff(clear)).max()


def test_why_tells_the_whole_ancestry(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    attacked = variant(pair(0)).sample
    call(query, str(run), "why", attacked.key)
    out = capsys.readouterr().out
    for part in (
        attacked.root,
        "planted picture number 0",
        "name noise",
        attacked.key,
        "group",
        "split",
        "picture format png",
    ):
        assert part in out
    call(query, str(run), "why", attacked.key, "--format", "json")
    assert json.loads(capsys.readouterr().out)["sample"]["key"] == attacked.key


def test_regenerate_makes_the_same_bytes(
    run: Path, key: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(query, str(run), "regenerate", key) == 0
    assert "the same" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("question", "says"),
    [
        (["SELECT nothing FROM samples"], "views are samples"),
        (["why", "0" * 32], "neither planned nor committed"),
        (["regenerate", "0" * 32], "no committed sample"),
        (["SELECT 1 AS one", "--images", "x"], "needs a column 'key'"),
        (["SELECT 'nobody' AS key", "--images", "x"], "no sample's"),
    ],
)
def test_bad_questions_get_one_clear_error(
    run: Path, question: list[str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=says):
        call(query, str(run), *question)


def test_a_path_without_a_run_is_refused_and_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="no such folder"):
        call(query, str(tmp_path / "none"), "SELECT 1")
    assert not (tmp_path / "none").exists()
