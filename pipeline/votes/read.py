"""All votes of a run, from every committed unit of every round."""

from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import blake2b

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.rounds.rounds import committed_files, rounds_with
from pipeline.storage.store import Store
from schemas.errors import InputError
from schemas.vote import VOTE_SCHEMA, Vote, votes_of


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


def votes_in(store: Store, folder: str) -> list[Vote]:
    """People's votes of one round, each person's last on an item. Raises InputError for a round that holds none."""
    names = committed_files(store, folder, "votes/", ".parquet") if folder in rounds_with(store, "votes") else []
    tables = [pq.read_table(pa.BufferReader(store.read(name) or b"")) for name in names]
    votes = [vote for table in tables for vote in votes_of(table) if vote.annotator_type == "human"]
    if not votes:
        known = [name for name in rounds_with(store, "votes") if "-label-people-" in name]
        raise InputError(f"{folder} is no round of people's votes; those are {', '.join(known) or 'none'}")
    last = {(vote.key, vote.scope, vote.annotator): vote for vote in sorted(votes, key=_when)}
    return list(last.values())


def votes_before(store: Store, folder: str) -> dict[tuple[str, str, str], Vote]:
    """Each person's last vote on an item in the rounds before this one."""
    earlier = [name for name in rounds_with(store, "votes") if name < folder and "-label-people-" in name]
    votes = [vote for name in earlier for vote in votes_in(store, name)]
    return {(vote.key, vote.scope, vote.annotator): vote for vote in sorted(votes, key=_when)}


def _when(vote: Vote) -> tuple[datetime, str]:
    return vote.time or datetime.min.replace(tzinfo=UTC), vote.round


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
