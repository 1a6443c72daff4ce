"""How many committed samples were drawn from the beginning of their prompt only."""

import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.rounds.rounds import committed_files
from pipeline.storage.store import Store


def truncated_samples(store: Store, folder: str) -> int:
    """Of one round, by the column that its generator wrote; 0 for older rounds and for generators without a text encoder."""
    count = 0
    for name in committed_files(store, folder, "raw/", ".parquet"):
        with store.open(name) as file:
            rows = pq.ParquetFile(file)
            if "truncated" in rows.schema_arrow.names:
                count += pc.sum(rows.read(["truncated"])["truncated"]).as_py() or 0
    return count
