"""All votes of a run, from every committed unit of every round."""

from collections.abc import Iterator
from hashlib import blake2b

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.rounds.rounds import committed_files, rounds_with
from pipeline.storage.store import Store
from schemas.vote import VOTE_SCHEMA


def vote_files(store: Store) -> Iterator[str]:
    """Names of the committed files of votes, by round and unit."""
    for folder in rounds_with(store, "votes"):
        yield from committed_files(store, folder, "votes/", ".parquet")


def read_votes(store: Store, columns: list[str] | None = None) -> tuple[pa.Table, str]:
    """The votes (all columns, or some) and a digest of the files they came from. An empty table where nobody voted."""
    hasher = blake2b(digest_size=16)
    tables: list[pa.Table] = []
    for name in vote_files(store):
        with store.open(name) as file:
            data = file.read()
        hasher.update(data)
        tables.append(pq.read_table(pa.BufferReader(data), columns=columns))
    schema = VOTE_SCHEMA if columns is None else pa.schema([VOTE_SCHEMA.field(name) for name in columns])
    return (pa.concat_tables(tables) if tables else schema.empty_table()), hasher.hexdigest()


def sources_of(store: Store) -> pa.Table:
    """`key` and `source` of every committed sample."""
    names = [
        name for folder in rounds_with(store, "raw") for name in committed_files(store, folder, "raw/", ".parquet")
    ]
    tables = [pq.read_table(pa.BufferReader(store.read(name)), columns=["key", "source"]) for name in names]
    return (
        pa.concat_tables(tables)
        if tables
        else pa.table({"key": pa.array([], pa.string()), "source": pa.array([], pa.string())})
    )
