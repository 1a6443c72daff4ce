"""Do the keep-list, the manifest and the shards name the same files and the same samples?"""

import pyarrow.parquet as pq

from pipeline.catalogue.gather import GROUPS, KEEP
from pipeline.dataset.audit import Audit
from pipeline.dataset.manifest import read_manifest, shards_digest
from pipeline.dataset.shards import FOLDER as SHARDS
from pipeline.dataset.shards import MANIFEST, keep_digest, keep_rows, slots_of
from pipeline.rounds.control_files import card, read_receipt
from pipeline.rounds.ledger import Ledger
from schemas.manifest import Receipt

AGAIN = "run jobs/shards.py again"


def check_shards(audit: Audit, ledger: Ledger) -> None:
    """All of them; unfinished shards are said to be so."""
    store = audit.store
    for name in (GROUPS, KEEP):
        actual = store.digest(name)
        if actual is not None:
            audit.hashes.append(f"{name} {actual}")
    if ledger.writer(MANIFEST) is not None:
        return
    if store.size(MANIFEST) is None:
        if store.size(f"{SHARDS}/round.json") is not None:
            audit.notes.append(f"{MANIFEST} is not there: the shards are unfinished, and jobs/shards.py goes on")
        return
    manifest = read_manifest(store)
    if manifest["keep"] != keep_digest(store):
        audit.problems.append(f"{MANIFEST}: made from another {KEEP}; {AGAIN}")
        return
    receipts = [read_receipt(store, name) for name in store.names(f"{SHARDS}/receipts")]
    _check_totals(audit, manifest, receipts)
    _check_files(audit, manifest["shards"], receipts)


def _check_totals(audit: Audit, manifest: dict[str, object], receipts: list[Receipt]) -> None:
    shards = manifest["shards"]
    assert isinstance(shards, list)
    slots = [(slot.split, slot.shard) for slot in slots_of(audit.store)]
    totals = {
        "its list of shards is not the keep-list's": [(one["split"], one["shard"]) for one in shards] == slots,
        "its digest is not that of its files": manifest["digest"] == shards_digest(shards),
        "its samples are not as many as the receipts count": manifest["samples"]
        == sum(one.samples for one in receipts),
        "its plan is another": manifest["fingerprint"] == card(audit.store, SHARDS)["fingerprint"],
    }
    audit.problems += [f"{MANIFEST}: {what}; {AGAIN}" for what, holds in totals.items() if not holds]


def _check_files(audit: Audit, shards: list[dict[str, object]], receipts: list[Receipt]) -> None:
    store = audit.store
    known = {entry.name: entry.sha256 for receipt in receipts for entry in receipt.files}
    for unit, shard in enumerate(shards):
        files = shard["files"]
        assert isinstance(files, list)
        for entry in files:
            if known.get(entry["name"]) != entry["sha256"]:
                audit.problems.append(f"{MANIFEST}: {entry['name']} has another sha256 in its receipt")
        name = f"{SHARDS}/{shard['split']}/{shard['shard']:06d}.parquet"
        if store.size(name) is None:  # said already, by its receipt
            continue
        with store.open(name) as file:
            table = pq.ParquetFile(file).read(columns=["key", "split", "group"])
        if not table.equals(keep_rows(store, unit).select(["key", "split", "group"]).replace_schema_metadata(None)):
            audit.problems.append(f"{name}: does not hold the samples that {KEEP} wants in it")
