"""Write the answer to a query to a file: CSV, JSON, JSON lines or Parquet, by its suffix, whatever its size."""

import csv
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.catalogue.answers import plain, rows_of
from pipeline.storage.store import OBJECT_SCHEMES, Store
from schemas.errors import InputError

GROUP_ROWS, GROUP_BYTES = 122_880, 64 * 2**20
"""A row group of Parquet has DuckDB's own number of rows, or fewer where they are large."""

Writer = Callable[[pa.RecordBatchReader, Path], int]


def write_answer(reader: pa.RecordBatchReader, file: Path, *, private: bool = False) -> int:
    """Write all rows under `file`, whole or not at all, and return how many; `private` keeps them to their owner.

    The file's suffix is one of `WRITERS`.
    """
    write = WRITERS[file.suffix]
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.parent)  # readable to its owner only
    os.close(handle)
    scratch = Path(name)
    try:
        count = write(reader, scratch)
        if not private:
            mask = os.umask(0)
            os.umask(mask)
            scratch.chmod(0o666 & ~mask)
        scratch.replace(file)
    finally:
        with suppress(FileNotFoundError):
            scratch.unlink()
    return count


def outside(store: Store, path: Path) -> Path:
    """`path`, if it is not in the run, whose files only Hazmat's commands write. Raises InputError if it is."""
    if not store.url.startswith(OBJECT_SCHEMES) and path.resolve().is_relative_to(Path(store.url).resolve()):
        raise InputError(f"{path} is in the run itself; write what you take out of {store.url} somewhere else")
    return path


def _csv(reader: pa.RecordBatchReader, file: Path) -> int:
    count = 0
    with file.open("w", newline="", encoding="utf-8") as text:
        writer = csv.writer(text)
        writer.writerow(reader.schema.names)
        for batch in reader:
            writer.writerows([_cell(value) for value in row] for row in rows_of(batch))
            count += batch.num_rows
    return count


def _cell(value: Any) -> Any:
    """Lists and structs as JSON: there is no other way back from a cell."""
    simple = plain(value)
    return json.dumps(simple, ensure_ascii=False) if isinstance(simple, (list, dict)) else simple


def _lines(reader: pa.RecordBatchReader, file: Path) -> int:
    with file.open("w", encoding="utf-8") as text:
        return _objects(reader, text.write, before="", after="\n")


def _json(reader: pa.RecordBatchReader, file: Path) -> int:
    with file.open("w", encoding="utf-8") as text:
        text.write("[")
        count = _objects(reader, text.write, before="\n", between=",")
        text.write("\n]\n")
    return count


def _objects(
    reader: pa.RecordBatchReader, write: Callable[[str], object], *, before: str, between: str = "", after: str = ""
) -> int:
    count = 0
    for batch in reader:
        for row in rows_of(batch):
            values = dict(zip(reader.schema.names, map(plain, row), strict=True))
            write((between if count else "") + before + json.dumps(values, ensure_ascii=False) + after)
            count += 1
    return count


def _parquet(reader: pa.RecordBatchReader, file: Path) -> int:
    count = 0
    with pq.ParquetWriter(file, reader.schema) as writer:
        for table in _groups(reader):
            writer.write_table(table)
            count += table.num_rows
    return count


def _groups(reader: pa.RecordBatchReader) -> Iterator[pa.Table]:
    """The batches, gathered to the size of row groups."""
    held: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in reader:
        held.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows >= GROUP_ROWS or size >= GROUP_BYTES:
            yield pa.Table.from_batches(held, reader.schema)
            held, rows, size = [], 0, 0
    if held:
        yield pa.Table.from_batches(held, reader.schema)


WRITERS: dict[str, Writer] = {".csv": _csv, ".json": _json, ".jsonl": _lines, ".parquet": _parquet}
