"""How many kept samples of each split have which label."""

from pipeline.catalogue.duck import parquet, reach, scratch_database
from pipeline.catalogue.gather import KEEP
from pipeline.storage.store import Store
from schemas.catalogue import KEEP_SCHEMA, SPLITS

LABELS = ("safe", "unsafe", "na")


def split_labels(store: Store) -> dict[str, dict[str, int]]:
    """By split, then label (of the pair, else image, else prompt; `na` also where there is none at all), from keep.parquet."""
    counts = {split: dict.fromkeys(LABELS, 0) for split in SPLITS}
    with scratch_database() as con:
        reach(con, store)
        rows = con.execute(f"""
            SELECT split, coalesce(pair_label, image_label, prompt_label) AS label, count(*)
            FROM {parquet(store, [KEEP], KEEP_SCHEMA)} GROUP BY ALL
        """).fetchall()
    for split, label, count in rows:
        if label is not None:
            counts[split][label] += count
    return counts
