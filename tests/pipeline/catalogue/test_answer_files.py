"""The answer to a question is printed as far as it can be held, and written to a file whatever its size."""

import csv
import hashlib
import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from jobs import query
from pipeline.catalogue.views import refresh
from schemas.errors import InputError
from schemas.run import RunConfig
from tests.support.commands import call
from tests.support.planted import pair, plant, variant

Ask = Callable[..., int]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run."""
    folder = tmp_path_factory.mktemp("confined")
    pairs = [pair(number) for number in range(5)]
    store = plant(str(folder / "run"), [*pairs, variant(pairs[0])], folder / "files")
    store.write("run.json", RunConfig(out="run", recipe="render", count=5).to_json({}))
    refresh(store)
    return folder / "run"


@pytest.fixture
def run(planted: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(planted, tmp_path / "run")


@pytest.fixture
def ask(run: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Call jobs/query.py on the run, in its folder's parent."""
    monkeypatch.chdir(run.parent)

    return partial(call, query, run)


def everything(folder: Path) -> dict[str, str]:
    """Digest of every file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_an_answer_that_cannot_be_held_is_refused_and_can_be_written(ask: Ask, run: Path) -> None:
    sql = "SELECT repeat('x', 10000) AS x FROM range({rows})"
    with pytest.raises(InputError, match="--write FILE"):
        ask(sql.format(rows=10**8))
    assert ask(sql.format(rows=40_000), "--write", "large.parquet") == 0
    assert pq.read_metadata(run.parent / "large.parquet").num_rows == 40_000


@pytest.mark.parametrize("suffix", ["csv", "json", "jsonl", "parquet"])
def test_an_answer_is_written_by_its_suffix(run: Path, ask: Ask, suffix: str) -> None:
    file = run.parent / "new" / f"answer.{suffix}"
    sql = "SELECT key, attack.name AS attack, [1, 2] AS list, sum(1) OVER () AS n, now() AS t FROM samples ORDER BY key"
    assert ask(sql, "--write", str(file)) == 0
    rows = read(file)
    assert len(rows) == 6 and {row["attack"] or None for row in rows} == {None, "noise"}
    assert [int(row["n"]) for row in rows] == [6] * 6
    lists = {json.dumps(row["list"]) if suffix != "csv" else row["list"] for row in rows}
    assert lists == {"[1, 2]"} and [path.name for path in file.parent.iterdir()] == [file.name]


def read(file: Path) -> list[dict[str, object]]:
    """The rows of a written answer."""
    if file.suffix == ".parquet":
        return pq.read_table(file).to_pylist()
    if file.suffix == ".csv":
        with file.open(newline="") as text:
            return list(csv.DictReader(text))
    text = file.read_text()
    return json.loads(text) if file.suffix == ".json" else [json.loads(line) for line in text.splitlines()]


def test_a_failed_answer_leaves_the_old_file(run: Path, ask: Ask) -> None:
    file = run.parent / "answer.csv"
    file.write_text("old")
    with pytest.raises(InputError):
        ask("SELECT CASE WHEN range = 50000 THEN error('no') ELSE range END FROM range(60000)", "--write", str(file))
    assert file.read_text() == "old" and not list(run.parent.glob(".answer*"))


@pytest.mark.parametrize("option", ["--write", "--images"])
def test_nothing_is_written_into_the_run(run: Path, ask: Ask, option: str) -> None:
    before = everything(run)
    for name in ("labels.csv", "rounds/000-planted/raw/x.csv", "../run/x.csv"):
        with pytest.raises(InputError, match="is in the run itself"):
            ask("SELECT key FROM samples", option, str(run / name))
    assert everything(run) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["why", "0" * 32, "--write", "a.csv"],
        ["SELECT 1", "--timeout", "0"],
        ["SELECT 1", "--timeout", "nan"],
        ["SELECT 1", "--timeout", "inf"],
    ],
)
def test_bad_use_ends_with_two(ask: Ask, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        ask(*arguments)
    assert ended.value.code == 2 and capsys.readouterr().err


@pytest.mark.parametrize("file", ["a.xlsx", "a"])
def test_a_suffix_that_says_no_format_is_refused_with_those_that_do(ask: Ask, file: str) -> None:
    with pytest.raises(InputError, match=r"the suffix says the format; give one of \.csv"):
        ask("SELECT 1", "--write", file)
