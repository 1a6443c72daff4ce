"""Shards: balanced by policy, shuffled the same way every time, resumed, and rewritten only where something changed."""

import json
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.pack import parquet_bytes
from pipeline.selection.keep import Balance
from pipeline.storage.local_store import LocalStore
from pipeline.storage.store import Store
from stages.image_io.fetch_bytes import FetchBytes
from tests.support.planted import Pair, pair, plant, recipe, shards, variant


def hashes(store: Store) -> dict[str, str]:
    """sha256 of every shard file and of the keep-list."""
    assert isinstance(store, LocalStore)
    files = [path for split in ("train", "val", "test") for path in sorted((store.root / "shards" / split).glob("*"))]
    files.append(store.root / "keep.parquet")
    return {str(path.relative_to(store.root)): sha256(path.read_bytes()).hexdigest() for path in files}


def labelled(count: int, start: int = 0) -> list[Pair]:
    """Three quarters are called safe, a quarter unsafe."""
    made = []
    for number in range(start, start + count):
        one = pair(number)
        label = {"label": "unsafe", "category": "hate"} if number % 4 == 0 else {}
        made.append(Pair(one.sample.with_(**label), one.pixels))
    return made


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """100 pairs."""
    return plant(str(tmp_path / "run"), labelled(100), tmp_path / "files")


def keep(store: Store) -> list[dict[str, object]]:
    assert isinstance(store, LocalStore)
    rows: list[dict[str, object]] = pq.read_table(store.root / "keep.parquet").to_pylist()
    return rows


def test_the_same_run_gives_the_same_shards_and_nothing_is_written_twice(store: Store) -> None:
    shards(store)
    before = hashes(store)
    assert isinstance(store, LocalStore)
    times = {path: path.stat().st_mtime_ns for path in (store.root / "shards").glob("*/*.tar")}
    shards(store)
    assert hashes(store) == before
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_shards_are_of_one_size_and_shuffled_over_units(store: Store) -> None:
    manifest = shards(store)
    sizes = [shard["samples"] for shard in manifest["shards"] if shard["split"] == "train"]
    assert sizes == [16, 16, 16, 16, 16]
    assert isinstance(store, LocalStore)
    units = {
        row["key"]: path.stem
        for path in store.root.glob("rounds/*/raw/*.parquet")
        for row in pq.read_table(path).to_pylist()
    }
    first = pq.read_table(store.root / "shards/train/000000.parquet")["key"].to_pylist()
    assert len({units[key] for key in first}) > 3


def test_a_torn_shard_and_a_lost_receipt_are_made_again(store: Store) -> None:
    shards(store)
    before = hashes(store)
    assert isinstance(store, LocalStore)
    (store.root / "shards/train/000001.tar").write_bytes(b"torn")
    (store.root / "shards/receipts/unit-000003.json").unlink()
    shards(store)
    assert hashes(store) == before


def test_weights_make_the_classes_of_train_count_alike(store: Store) -> None:
    shards(store)
    rows = keep(store)
    assert {row["weight"] for row in rows if row["split"] != "train"} == {1.0}
    assert isinstance(store, LocalStore)
    labels = {
        row["key"]: row["label"]
        for path in store.root.glob("shards/train/*.parquet")
        for row in pq.read_table(path).to_pylist()
    }
    total = {
        label: sum(float(str(row["weight"])) for row in rows if labels.get(str(row["key"])) == label)
        for label in ("safe", "unsafe")
    }
    assert total["safe"] == pytest.approx(total["unsafe"])


def test_a_cap_bounds_the_larger_class_and_variants_go_with_their_roots(tmp_path: Path) -> None:
    pairs = labelled(80)
    store = plant(str(tmp_path / "run"), [*pairs, *(variant(one) for one in pairs)], tmp_path / "files")
    manifest = shards(store, recipe(balance=Balance(policy="cap", by="label", times=0.8)))
    assert manifest["made_from"]["left_out"].keys() == {"over_cap"}
    kept = {row["key"] for row in keep(store)}
    alone = [one for one in pairs if (one.sample.key in kept) != (variant(one).sample.key in kept)]
    assert len(alone) <= 2, "only a root at the bound loses its variant"


def test_labels_ride_in_the_shards_once_there_are_any(store: Store) -> None:
    shards(store)
    assert isinstance(store, LocalStore)
    assert {row["pair_label"] for row in keep(store)} == {None}
    rows = [
        {"key": row["key"], "scope": scope, "label": "unsafe", "categories": ["hate", "spam"]}
        for row in keep(store)
        for scope in ("image", "pair")
    ]
    store.write("labels.parquet", parquet_bytes(pa.Table.from_pylist(rows)))
    shards(store)
    found = pq.read_table(store.root / "shards/train/000000.parquet").to_pylist()
    assert {(row["prompt_label"], row["pair_label"], row["pair_categories"]) for row in found} == {
        ("unlabelled", "unsafe", "hate,spam")
    }
    import tarfile

    with tarfile.open(store.root / "shards/train/000000.tar") as tar:
        member = next(name for name in tar.getnames() if name.endswith(".json"))
        said = json.loads(tar.extractfile(member).read())  # type: ignore[union-attr]
    assert (said["prompt_label"], said["image_label"], said["prompt_categories"]) == ("unlabelled", "unsafe", "")


def test_a_picture_that_is_not_what_was_committed_is_quarantined(store: Store) -> None:
    assert isinstance(store, LocalStore)
    shards(store, recipe(per_shard=50))
    path = next(iter(store.root.glob("rounds/*/raw/*.tar")))
    row = pq.read_table(path.with_suffix(".parquet")).to_pylist()[0]
    data = bytearray(path.read_bytes())
    data[row["tar_offset"] + 50] ^= 1
    path.write_bytes(data)
    manifest = shards(store)
    assert manifest["samples"] == 99
    lost = [one for path in store.root.glob("shards/quarantine/*.parquet") for one in pq.read_table(path).to_pylist()]
    assert [one["key"] for one in lost] == [row["key"]] and "not what was committed" in lost[0]["message"]
    assert FetchBytes(url=store.url).describe().get("url") is None
