"""DuckDB over the Parquet files of a run, on a disk or an object store."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from pipeline.storage.store import OBJECT_SCHEMES, Store
from schemas.errors import HazmatError, InputError
from schemas.sample import RENAMED

MEMORY = "2GB"
"""What DuckDB may hold before it spills to disk. Groups of 1 M samples need about 1 GB; more only makes it faster."""

BATCH = 2_048  # rows that are handed on at a time: DuckDB's own vector

Connection = Any  # duckdb.DuckDBPyConnection; the package is not typed for mypy here


@contextmanager
def scratch_database(memory: str = MEMORY) -> Iterator[Connection]:
    """A database on a temporary file, which spills there and goes away afterwards."""
    with tempfile.TemporaryDirectory(prefix="hazmat-duckdb-") as folder:
        con = duckdb.connect(str(Path(folder) / "scratch.duckdb"))
        try:
            con.execute(f"SET memory_limit = '{memory}'")
            con.execute(f"SET temp_directory = {quoted(folder + '/spill')}")
            con.execute("SET preserve_insertion_order = false")  # what needs an order says so
            con.execute("SET enable_progress_bar = false")
            yield con
        finally:
            con.close()


def quoted(text: str) -> str:
    """A string as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def reach(con: Connection, store: Store) -> None:
    """Teach the connection to read the run's files. DuckDB's own httpfs is fetched from the network; fsspec is not."""
    for scheme in OBJECT_SCHEMES:
        if store.url.startswith(scheme):
            con.register_filesystem(object_files(scheme.removesuffix("://")))


def object_files(scheme: str) -> Any:
    """The fsspec file system of an object store. Raises HazmatError if its package is not there."""
    import fsspec  # type: ignore[import-untyped]  # has no types

    try:
        # Listings are not cached: what another process committed a moment ago has to be seen.
        options: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
        if scheme == "s3":
            options["endpoint_url"] = os.environ.get("AWS_ENDPOINT_URL")
        return fsspec.filesystem(scheme, **options)
    except ImportError as error:
        raise HazmatError(
            f"reading {scheme}:// through DuckDB needs a package: {error}; pip install hazmat[s3]"
        ) from error


def reader(relation: Connection) -> pa.RecordBatchReader:
    """The rows of a relation through Arrow: DuckDB's own rows need pytz for a TIMESTAMPTZ, and all of them at once.

    Raises InputError for a column whose type Arrow would bend.
    """
    for name, kind in zip(relation.columns, map(str, relation.types), strict=True):
        if kind in ("BIT", "TIME WITH TIME ZONE"):
            raise InputError(
                f'the answer\'s column "{name}" is a {kind}, which Arrow has not; cast it: "{name}"::VARCHAR'
            )
    return relation.to_arrow_reader(BATCH)


def parquet(store: Store, names: Sequence[str], schema: pa.Schema) -> str:
    """SQL of a relation over these files of the run, with at least the columns of `schema`; empty if there are none.

    `file` is the name within the run. Columns that were renamed since the files were written are read by their new name.
    """
    columns = ", ".join(f"NULL::{sql_type(field.type)} AS {field.name}" for field in schema)
    empty = f"SELECT {columns}, NULL::VARCHAR AS file WHERE false"
    if not names:
        return f"({empty})"
    files = ", ".join(quoted(f"{store.url}/{name}") for name in names)
    start = len(store.url) + 2
    source = f"read_parquet([{files}], filename=true, union_by_name=true)"
    read = f"SELECT * EXCLUDE (filename), filename[{start}:] AS file FROM {source}"
    for old, new in RENAMED.items():
        if new in schema.names:
            both = f"SELECT * FROM ({empty}) UNION ALL BY NAME SELECT NULL::VARCHAR AS {old} WHERE false UNION ALL BY NAME {read}"
            return f"(SELECT * EXCLUDE ({old}) REPLACE (coalesce({new}, {old}) AS {new}) FROM ({both}))"
    return f"({empty} UNION ALL BY NAME {read})"


def as_it_is(store: Store, names: Sequence[str], schema: pa.Schema) -> str:
    """SQL of a relation over files whose columns another part decides; `schema` only where there is no file yet."""
    if not names:
        return f"(SELECT * EXCLUDE (file) FROM {parquet(store, [], schema)})"
    return f"(SELECT * FROM read_parquet([{', '.join(quoted(f'{store.url}/{name}') for name in names)}], union_by_name=true))"


def sql_type(kind: pa.DataType) -> str:
    """DuckDB's name of an Arrow type."""
    if pa.types.is_struct(kind):
        return "STRUCT(" + ", ".join(f'"{field.name}" {sql_type(field.type)}' for field in kind) + ")"
    if pa.types.is_list(kind):
        return sql_type(kind.value_type) + "[]"
    if pa.types.is_timestamp(kind):
        return "TIMESTAMPTZ" if kind.tz else "TIMESTAMP"
    if pa.types.is_fixed_size_binary(kind) or pa.types.is_binary(kind):
        return "BLOB"
    names = {
        "string": "VARCHAR",
        "bool": "BOOLEAN",
        "int8": "TINYINT",
        "int16": "SMALLINT",
        "int32": "INTEGER",
        "int64": "BIGINT",
        "halffloat": "FLOAT",
        "float": "FLOAT",
        "double": "DOUBLE",
    }
    return names[str(kind)]
