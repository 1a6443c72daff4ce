"""Rows of older runs are read under today's names."""

import json
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.catalogue.duck import parquet
from pipeline.storage.open_store import open_store
from schemas.prompt import Prompt
from schemas.run import RunConfig
from schemas.sample import READING, SAMPLE_SCHEMA, Sample, from_table, to_table, upgraded


def older(sample: Sample) -> pa.Table:
    """A row as it was written before the column was renamed and tokens were counted."""
    table = to_table([sample]).drop_columns(list(READING))
    return table.rename_columns(["drawn_prompt" if n == "generation_prompt" else n for n in table.column_names])


def test_a_row_from_before_the_renaming_is_the_same_sample(tmp_path: Path) -> None:
    sample = Sample.from_prompt(Prompt("ready for a fight", "two dice"), 0)
    (again,) = from_table(older(sample))
    assert again.generation_prompt == "two dice" and again.truncated is None
    assert upgraded(older(sample)).select(SAMPLE_SCHEMA.names).schema == SAMPLE_SCHEMA
    assert from_table(upgraded(older(sample)))[0].key == sample.key


def test_files_from_before_and_after_are_one_relation(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    first, second = (Sample.from_prompt(Prompt("one", text), 0) for text in ("two dice", "a key"))
    pq.write_table(older(first), tmp_path / "a.parquet")
    pq.write_table(to_table([second]), tmp_path / "b.parquet")
    for names in (["a.parquet"], ["b.parquet"], ["a.parquet", "b.parquet"], []):
        rows = duckdb.sql(f"SELECT * FROM {parquet(store, names, SAMPLE_SCHEMA)} ORDER BY file").to_arrow_table()
        assert "drawn_prompt" not in rows.column_names and set(rows.column_names) == {*SAMPLE_SCHEMA.names, "file"}
        assert rows["generation_prompt"].to_pylist() == ["two dice", "a key"][: len(names)] or names == ["b.parquet"]


def test_a_run_of_before_an_option_was_there_is_read_without_it() -> None:
    fields = json.loads(RunConfig(out="runs/mine").to_json({}))
    older = {name: value for name, value in fields.items() if name not in ("skip_bad_rows", "version", "checksum")}
    assert RunConfig.from_json(json.dumps(older).encode()) == RunConfig(out="runs/mine")
