"""A revoked sample is nowhere any more, and neither is what derives from it; the rest is as it was."""

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from types import ModuleType

import pyarrow.parquet as pq
import pytest

from jobs import query, revoke, verify
from jobs.recipes import named
from jobs.recipes.named import run_with_recipe
from pipeline.storage.local_store import LocalStore
from pipeline.storage.store import Store
from schemas.errors import InputError
from tests.support.commands import call as run_here
from tests.support.planted import Pair, committed_keys, pair, plant, recipe, shards, variant


def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], module: ModuleType, *arguments: str
) -> dict[str, object]:
    """Run a job's `main` with --json; the summary."""
    run_here(module, *arguments, "--json")
    found: dict[str, object] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def hashes(store: Store) -> dict[str, str]:
    """sha256 of every shard file."""
    assert isinstance(store, LocalStore)
    files = [path for path in sorted((store.root / "shards").glob("*/*")) if path.parent.name != "receipts"]
    return {str(path.relative_to(store.root)): sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Store, list[Pair], list[Pair]]:
    """80 pairs with a variant each, and a grid of the first three, in small shards."""
    pairs = [pair(number) for number in range(80)]
    variants = [variant(one) for one in pairs]
    variants.append(variant(pairs[2], "grid", parents=pairs[:3]))
    store = plant(str(tmp_path / "run"), pairs + variants, tmp_path / "files")
    ours = run_with_recipe(store.url)
    monkeypatch.setattr(named, "run_with_recipe", lambda url: (*ours[:2], replace(ours[2], shards=recipe())))
    shards(store)
    return store, pairs, variants


def test_revoked_samples_and_their_descendants_are_gone(
    run: tuple[Store, list[Pair], list[Pair]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store, pairs, variants = run
    before, all_keys = hashes(store), set(committed_keys(store))
    # the least key of a group is its name, which stays with its other members
    asked = max(range(3), key=lambda place: pairs[place].sample.key)
    (tmp_path / "keys.txt").write_text(f"# asked for\n{pairs[asked].sample.key}\n\n")
    summary = call(monkeypatch, capsys, revoke, store.url, "--keys", str(tmp_path / "keys.txt"), "--reason", "a test")
    gone = {pairs[asked].sample.key, variants[asked].sample.key, variants[-1].sample.key}
    assert summary["revoked"] == 3
    assert set(committed_keys(store)) == all_keys - gone
    assert isinstance(store, LocalStore)
    for path in store.root.rglob("*"):
        if path.is_file() and path.name != "revoked.parquet":
            data = path.read_bytes() if path.suffix != ".parquet" else str(pq.read_table(path).to_pylist()).encode()
            assert not any(text.encode() in data for text in (*gone, f'number {asked}"', f"number {asked}'")), path
    after = hashes(store)
    concerned = {name for name in before if after.get(name) != before[name]}
    assert {Path(name).stem for name in concerned}, "their own shards changed"
    assert len(concerned) == 2 * summary["shards"] <= 6 < len(before), "and no other did"
    assert {row["reason"] for row in pq.read_table(store.root / "revoked.parquet").to_pylist()} == {"a test"}
    assert call(monkeypatch, capsys, verify, store.url)["problems"] == []


def test_revoking_again_changes_nothing_and_shards_never_take_them_in(
    run: tuple[Store, list[Pair], list[Pair]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store, pairs, _ = run
    (tmp_path / "keys.txt").write_text(pairs[5].sample.key)
    call(monkeypatch, capsys, revoke, store.url, "--keys", str(tmp_path / "keys.txt"))
    first = hashes(store)
    again = call(monkeypatch, capsys, revoke, store.url, "--keys", str(tmp_path / "keys.txt"))
    assert (again["units"], again["shards"], hashes(store)) == (0, 0, first)
    assert (again["revoked"], again["already_revoked"]) == (0, 1)
    with pytest.raises(InputError, match=f"the sample {pairs[5].sample.key} was revoked at 20"):
        run_here(query, store.url, "why", pairs[5].sample.key)
    plant(store.url, [pair(200)], tmp_path / "files")
    shards(store)
    assert pairs[5].sample.key not in set(pq.read_table(Path(store.url) / "keep.parquet")["key"].to_pylist())
    assert call(monkeypatch, capsys, verify, store.url)["problems"] == []


def test_an_unknown_key_is_refused_before_anything_is_touched(
    run: tuple[Store, list[Pair], list[Pair]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, pairs, _ = run
    (tmp_path / "keys.txt").write_text(f"{pairs[0].sample.key}\n{'0' * 32}\n")
    before = hashes(store)
    with pytest.raises(InputError, match="0000"):
        run_here(revoke, store.url, "--keys", tmp_path / "keys.txt")
    assert hashes(store) == before and store.size("revoked.parquet") is None
