"""`shards/manifest.json`, written last: every shard with counts, sizes and sha256, and how the keep-list came about."""

from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.dataset.indexes import write_indexes
from pipeline.dataset.shards import FOLDER, MANIFEST, PackShard
from pipeline.pack import digest
from pipeline.rounds.round import Round
from pipeline.storage.store import Store
from schemas.control_file import Kinds, check_fields, control_json, damaged, inside, read_control

_MANIFEST: Kinds = {
    "fingerprint": str,
    "digest": str,
    "samples": int,
    "keep": str,
    "made_from": dict,
    "shards": list,
}
_SHARD: Kinds = {"split": str, "shard": int, "samples": int, "files": list}
_FILE: Kinds = {"name": str, "size": int, "sha256": str}


def write_manifest(store: Store, round_: Round, figures: dict[str, Any]) -> dict[str, Any]:
    """`shards/manifest.json`, written last: every shard with counts, sizes and sha256, and how the keep-list came about."""
    assert isinstance(round_.pack, PackShard)
    shards: list[dict[str, Any]] = []
    for slot, receipt in zip(round_.pack.slots, round_.receipts(), strict=True):
        files = [{"name": e.name, "size": e.size, "sha256": e.sha256} for e in receipt.files if slot.name in e.name]
        shards.append({"split": slot.split, "shard": slot.shard, "samples": receipt.samples, "files": files})
    manifest = {
        "fingerprint": round_.fingerprint,
        "digest": shards_digest(shards),
        "samples": sum(shard["samples"] for shard in shards),
        "keep": round_.pack.keep,
        "made_from": figures,
        "shards": shards,
        "indexes": write_indexes(store, FOLDER, shards),
    }
    store.write(MANIFEST, control_json(manifest))
    return manifest


def read_manifest(store: Store) -> dict[str, Any]:
    """`shards/manifest.json`. Raises ControlFileError if it is missing, damaged or changed by hand."""
    name, mend = f"{store.url}/{MANIFEST}", f"run jobs/shards.py {store.url}"
    manifest = read_control(store.read(MANIFEST), name, mend, _MANIFEST)
    for shard in manifest["shards"]:
        check_fields(shard, _SHARD, name, mend)
        for entry in shard["files"]:
            check_fields(entry, _FILE, name, mend)
            if not inside(entry["name"]):
                raise damaged(name, f"names a file outside of the shards, {entry['name'][:80]!r}", mend)
    return manifest


def shards_digest(shards: Iterable[Mapping[str, Any]]) -> str:
    """One hash over the names and contents of all shards of a manifest."""
    lines = sorted(f"{entry['name']} {entry['sha256']}" for shard in shards for entry in shard["files"])
    return digest("\n".join(lines).encode())


def beside_shards(store: Store, manifest: Mapping[str, Any]) -> list[str]:
    """Files of the folder that neither a receipt nor the round's seal owns: the manifest, and what helps readers."""
    theirs = {f"{FOLDER}/{entry['name']}" for shard in manifest["shards"] for entry in shard["files"]}
    theirs |= {f"{FOLDER}/{name}" for name in ("round.json", "plan.parquet", "seal.json")}
    by_unit = tuple(f"{FOLDER}/{folder}/" for folder in ("receipts", "quarantine", "attempts"))
    return [name for name in store.names(FOLDER) if name not in theirs and not name.startswith(by_unit)]
