"""`shards/` opens with what people have: webdataset, datasets, pyarrow, DuckDB and Ray Data each stream one epoch of it."""

import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow.dataset
import pytest

from pipeline.engines.ray_cluster import connect, disconnect
from pipeline.storage.local_store import LocalStore
from tests.support.planted import pair, plant, shards, variant

COUNTS = {"train": 96, "val": 12, "test": 12}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of 100 clean pairs and 20 variants, so that some rows have an attack and most have none."""
    there = tmp_path_factory.mktemp("readers")
    pairs = [pair(number) for number in range(100)]
    store = plant(str(there / "run"), pairs, there / "files")
    shards(store)
    plant(store.url, [variant(one) for one in pairs[:20]], there / "files")
    shards(store)
    assert isinstance(store, LocalStore)
    return store.root / "shards"


@pytest.fixture(scope="module")
def keys(folder: Path) -> dict[str, list[str]]:
    """The keys of each split, by the Parquet files."""
    found = duckdb.sql(f"SELECT split, list(key ORDER BY key) FROM '{folder}/*/*.parquet' GROUP BY split").fetchall()
    kept = {split: list(names) for split, names in found}
    assert sum(map(len, kept.values())) == 120
    return kept


@pytest.mark.parametrize("split", COUNTS)
def test_webdataset_streams_every_sample_once(folder: Path, keys: dict[str, list[str]], split: str) -> None:
    import webdataset

    files = sorted(map(str, folder.glob(f"{split}/*.tar")))
    samples = list(webdataset.WebDataset(files, shardshuffle=False).decode("rgb8").to_tuple("__key__", "png", "json"))
    assert sorted(key for key, _, _ in samples) == keys[split]
    assert all(picture.shape == (64, 64, 3) and facts["split"] == split for _, picture, facts in samples)


@pytest.mark.parametrize("streaming", [False, True])
def test_datasets_reads_tars_with_its_webdataset_builder(
    folder: Path, keys: dict[str, list[str]], streaming: bool, tmp_path: Path
) -> None:
    import datasets

    files = {split: str(folder / split / "*.tar") for split in COUNTS}
    found = datasets.load_dataset("webdataset", data_files=files, streaming=streaming, cache_dir=str(tmp_path))
    for split, wanted in keys.items():
        rows = list(found[split])
        assert sorted(row["__key__"] for row in rows) == wanted
        assert np.asarray(rows[0]["png"]).shape == (64, 64, 3)
        assert {row["json"]["split"] for row in rows} == {split}
        assert all(json.loads(row["json"]["provenance"])["generator"] == "planted" for row in rows)


def test_datasets_reads_rows_with_its_parquet_builder(folder: Path, keys: dict[str, list[str]], tmp_path: Path) -> None:
    import datasets

    files = {split: str(folder / split / "*.parquet") for split in COUNTS}
    found = datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path))
    assert {split: sorted(found[split]["key"]) for split in COUNTS} == keys


def test_pyarrow_and_duckdb_read_rows_whose_offsets_find_the_pictures(folder: Path, keys: dict[str, list[str]]) -> None:
    rows = pyarrow.dataset.dataset(sorted(map(str, folder.glob("train/*.parquet")))).to_table().to_pylist()
    assert sorted(row["key"] for row in rows) == keys["train"]
    for row in rows[:9]:
        data = (folder.parent / row["tar"]).read_bytes()[row["tar_offset"] :][: row["tar_size"]]
        assert data.startswith(b"\x89PNG")
    [(attacked,)] = duckdb.sql(f"SELECT count(*) FROM '{folder}/*/*.parquet' WHERE attack.name = 'noise'").fetchall()
    assert attacked == 20


def test_the_manifest_names_every_file_with_its_hash(folder: Path) -> None:
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    named = {entry["name"]: entry for shard in manifest["shards"] for entry in shard["files"]}
    assert set(named) == {str(path.relative_to(folder)) for split in COUNTS for path in folder.glob(f"{split}/*")}
    assert all((folder / name).stat().st_size == entry["size"] for name, entry in named.items())
    sizes = [shard["samples"] for shard in manifest["shards"] if shard["split"] == "train"]
    assert set(sizes[:-1]) == {16}, "only the last shard of a split is smaller"


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_ray_data_reads_tars_and_rows(folder: Path, keys: dict[str, list[str]]) -> None:
    import ray.data

    connect(1)
    try:
        tars = ray.data.read_webdataset(str(folder / "train"), file_extensions=["tar"])
        assert sorted(row["__key__"] for row in tars.iter_rows()) == keys["train"]
        rows = ray.data.read_parquet(str(folder / "train"), file_extensions=["parquet"])
        assert rows.count() == len(keys["train"])
    finally:
        disconnect()
