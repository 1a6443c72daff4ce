"""One reader for tars and Parquet: the same samples, labels and pictures, and one spelling of a label that is not there."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from classifiers.data.labelled_sample import LabelledSample
from classifiers.data.labelled_shards import LabelledShards
from classifiers.evaluation.cases import cases_of
from pipeline.storage.open_store import open_store
from pipeline.storage.store import Store
from schemas.catalogue import SCOPES
from schemas.errors import InputError
from schemas.sample import LOCATION
from tests.support.labelled_run import labelled_run
from tests.support.planted import pair, plant, shards
from tests.support.recorded import FOLDER

ELSEWHERE = dict.fromkeys((*LOCATION, "encoded"))


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Shards of pairs on which nobody voted."""
    there = tmp_path_factory.mktemp("unlabelled")
    store = plant(str(there / "run"), [pair(number) for number in range(30)], there / "files")
    shards(store)
    return store


def facts(row: LabelledSample) -> tuple[object, ...]:
    """All but where the picture lies."""
    return replace(row.sample, **ELSEWHERE), row.truth, row.test_set, row.weight  # type: ignore[arg-type]


@pytest.mark.parametrize("which", ["labelled", "unlabelled", "of_before"])
def test_tars_and_rows_hold_the_same(which: str, unlabelled: Store) -> None:
    store = {"labelled": labelled_run(), "unlabelled": unlabelled, "of_before": open_store(str(FOLDER))}[which]
    for split in ("train", "val", "test"):
        streamed = list(LabelledShards(store, split))
        read = list(LabelledShards(store, split, source="parquet"))
        assert len(streamed) == len(read) > 0
        for one, other in zip(streamed, read, strict=True):
            for mine, its in zip(facts(one)[1:], facts(other)[1:], strict=True):
                assert mine == its
            for name in ("key", "root", "prompt", "generator", "clean", "scene", "attack", "source", "seed", "format"):
                assert getattr(one.sample, name) == getattr(other.sample, name), name
        assert np.array_equal(streamed[0].pixels(), read[0].pixels(store))


def test_a_label_that_is_missing_is_spelt_one_way_and_read_as_none(unlabelled: Store) -> None:
    (name,) = [name for name in unlabelled.names("shards/val") if name.endswith(".parquet")]
    with unlabelled.open(name) as file:
        rows = pq.ParquetFile(file).read().to_pylist()
    assert {row[f"{scope}_label"] for row in rows for scope in SCOPES} == {"unlabelled"}
    assert {row[f"{scope}_categories"] for row in rows for scope in SCOPES} == {""}
    assert all(not row.truth for row in LabelledShards(unlabelled, "val"))
    assert not list(LabelledShards(unlabelled, "train", ("pair",))), "nothing to learn from"
    with pytest.raises(InputError, match=r"none of .* rows has a label"):
        cases_of(unlabelled, "val")


def test_null_in_shards_of_before_is_the_same(unlabelled: Store, tmp_path: Path) -> None:
    (name,) = [name for name in unlabelled.names("shards/val") if name.endswith(".parquet")]
    with unlabelled.open(name) as file:
        table = pq.ParquetFile(file).read()
    columns = [column for column in table.column_names if column.endswith(("_label", "_categories"))]
    for column in columns:
        at = table.column_names.index(column)
        table = table.set_column(at, table.schema.field(column), pa.nulls(len(table), pa.string()))
    (tmp_path / "shards/val").mkdir(parents=True)
    pq.write_table(table, tmp_path / name)
    old = list(LabelledShards(open_store(str(tmp_path)), "val", source="parquet"))
    assert [facts(row)[1:] for row in old] == [facts(row)[1:] for row in LabelledShards(unlabelled, "val")]


def test_a_damaged_picture_is_named_by_its_key() -> None:
    row = next(iter(LabelledShards(labelled_run(), "val")))
    damaged = replace(row, sample=row.sample.with_(encoded=b"\x89PNG no more"))
    with pytest.raises(InputError, match=f"picture of {row.sample.key} does not decode"):
        damaged.pixels()
