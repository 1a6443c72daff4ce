"""What other people's readers want beside the tars: `_info.json` for timm, a `wids` index a split for random access."""

import json
from collections.abc import Sequence
from typing import Any

from pipeline.pack import digest
from pipeline.storage.store import Store
from schemas.catalogue import CLASSES, SPLITS

INFO = "_info.json"


def write_indexes(store: Store, folder: str, shards: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Write them below `folder`; `shards` are the manifest's. Returns name, size and sha256 of each for the manifest."""
    files = {INFO: info_of(shards), **{f"wids-{split}.json": wids_of(shards, split) for split in SPLITS}}
    entries = []
    for name, value in sorted(files.items()):
        data = json.dumps(value, indent=1, sort_keys=True).encode()
        store.write(f"{folder}/{name}", data)
        entries.append({"name": name, "size": len(data), "sha256": digest(data)})
    return entries


def info_of(shards: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The layout of timm's `wds/` reader, which wants the files and lengths of every split; and the names of classes."""
    splits = {}
    for split in SPLITS:
        own = [shard for shard in shards if shard["split"] == split]
        splits[split] = {
            "name": split,
            "num_samples": sum(shard["samples"] for shard in own),
            "filenames": [_tar(shard)["name"] for shard in own],
            "shard_lengths": [shard["samples"] for shard in own],
        }
    return {
        "classes": list(CLASSES),
        "class_to_idx": {name: index for index, name in enumerate(CLASSES)},
        "splits": splits,
    }


def wids_of(shards: Sequence[dict[str, Any]], split: str) -> dict[str, Any]:
    """The index of webdataset's `wids`: shards by address (relative to the index) with their lengths."""
    own = [shard for shard in shards if shard["split"] == split]
    return {
        "__kind__": "wids-shard-index-v1",
        "wids_version": 1,
        "name": f"hazmat-{split}",
        "shardlist": [
            {"url": _tar(shard)["name"], "nsamples": shard["samples"], "filesize": _tar(shard)["size"]} for shard in own
        ],
    }


def _tar(shard: dict[str, Any]) -> dict[str, Any]:
    return next(entry for entry in shard["files"] if entry["name"].endswith(".tar"))
