"""`verify` sees what was changed behind the run's back."""

import io
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.dataset.audit import Audit, check_pictures
from pipeline.dataset.leaks import check_splits
from pipeline.dataset.verify import verify_run
from pipeline.selection.edges import GroupRules
from pipeline.storage.local_store import LocalStore
from schemas.manifest import Receipt
from tests.support.planted import pair, picture, plant, shards, variant


def audit(store: LocalStore) -> Audit:
    """Everything that `jobs/verify.py` checks."""
    return verify_run(store, GroupRules())


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """60 pairs, a twin of the first under another prompt, and a variant; sharded."""
    pairs = [*(pair(number) for number in range(60)), pair(100, text="twin", pixels=picture(0)), variant(pair(1))]
    made = plant(str(tmp_path / "run"), pairs, tmp_path / "files")
    assert isinstance(made, LocalStore)
    shards(made)
    return made


def edit(store: LocalStore, name: str, change: Callable[[list[dict[str, object]]], None]) -> None:
    """Change the rows of a derived file."""
    table = pq.read_table(store.root / name)
    rows = table.to_pylist()
    change(rows)
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), sink)
    store.write(name, sink.getvalue())


def test_a_sound_run_has_no_problem_and_its_digest_stays(store: LocalStore) -> None:
    first, second = audit(store), audit(store)
    assert first.problems == [] and first.samples == 62
    assert first.digest() == second.digest()


def test_a_turned_bit_is_found(store: LocalStore) -> None:
    for pattern in ("rounds/000-planted/raw/*.tar", "shards/train/*.tar", "rounds/001-signatures/signatures/*.parquet"):
        path = next(iter(store.root.glob(pattern)))
        data = bytearray(path.read_bytes())
        data[700] ^= 1
        path.write_bytes(data)
        assert any(path.name in problem and "sha256" in problem for problem in audit(store).problems), pattern
        data[700] ^= 1
        path.write_bytes(data)
    assert audit(store).problems == []


def test_a_member_too_many_and_one_too_few_are_found(store: LocalStore) -> None:
    for folder in ("rounds/000-planted/raw", "shards/train"):
        table, tar = (min((store.root / folder).glob(f"*.{ending}")).read_bytes() for ending in ("parquet", "tar"))
        rows = pq.read_table(io.BytesIO(table)).num_rows
        assert list(check_pictures(table, tar, rows)) == []
        with tarfile.open(fileobj=io.BytesIO(tar)) as file:
            last = file.getmembers()[-1]
        without = tar[: last.offset] + bytes(10240)
        more = tar[: last.offset] + tarfile.TarInfo("stowaway.json").tobuf() + tar[last.offset :]
        for changed, name in ((without, last.name), (more, "stowaway.json")):
            assert any("members in the tar" in said and name in said for said in check_pictures(table, changed, rows))


def test_a_missing_file_a_missing_receipt_and_a_foreign_receipt_are_found(store: LocalStore) -> None:
    (store.root / "shards/val/000000.tar").unlink()
    (store.root / "rounds/000-planted/receipts/unit-000001.json").unlink()
    name = "rounds/000-planted/receipts/unit-000000.json"
    receipt = Receipt.from_json(store.read(name))
    store.write(name, replace(receipt, fingerprint="other").to_json())
    problems = "\n".join(audit(store).problems)
    assert "shards/val/000000.tar: the receipt names it" in problems
    assert "3 of 4 units" in problems
    assert "belongs to plan other" in problems


def test_a_sample_moved_to_another_split_by_hand_is_found(store: LocalStore) -> None:
    def move(rows: list[dict[str, object]]) -> None:
        row = next(row for row in rows if row["key"] == variant(pair(1)).sample.key)
        row["split"] = "val" if row["split"] == "test" else "test"

    for name in ("groups.parquet", "keep.parquet"):
        edit(store, name, move)
    problems = "\n".join(audit(store).problems)
    assert "is a group in more than one split" in problems
    assert "tied by lineage and in two splits" in problems
    assert "made from another keep.parquet" in problems


def test_a_near_duplicate_kept_in_two_splits_by_force_is_found(store: LocalStore) -> None:
    first, twin = pair(0).sample.key, pair(100, text="twin").sample.key

    def keep_both(rows: list[dict[str, object]]) -> None:
        for row in rows:
            if row["key"] in (first, twin):
                row |= {"split": "train" if row["key"] == first else "test", "group": row["key"]}
                if "kept" in row:
                    row["kept"] = True

    edit(store, "groups.parquet", keep_both)
    keep = pq.read_table(store.root / "keep.parquet")
    rows = [row for row in keep.to_pylist() if row["key"] not in (first, twin)]
    rows += [dict.fromkeys(keep.schema.names) | {"key": one, "split": "", "shard": 0} for one in (first, twin)]
    store.write("keep.parquet", _parquet(pa.Table.from_pylist(rows, schema=keep.schema)))
    edit(store, "keep.parquet", keep_both)
    found = Audit(store)
    check_splits(found, GroupRules())
    assert any("tied by pixels and in two splits" in problem for problem in found.problems)


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()
