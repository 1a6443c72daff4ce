"""`data/SPLIT-00000-of-00003.parquet`: rows as `datasets` loads them and as a hub's viewer pages through them."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.release.rows import PLACE, ReleaseRows
from schemas.errors import HazmatError

ROWS, PICTURE_ROWS = 1_000, 100
"""Rows of a row group: viewers read one whole to show a page, and advise 100 rows where there are pictures."""
FILE_ROWS, FILE_BYTES = 1_000_000, 500 * 10**6
"""A file's size, about: hubs show and fetch files of half a gigabyte well."""
Hashed = Callable[[bytes, str], str]
"""A picture file and its format in, its perceptual hash (hexadecimal) out."""
Embedded = Callable[[Sequence[bytes], Sequence[str]], tuple[list[list[float]], str]]
"""Picture files and their formats in, a unit-length vector each and the digest of what made them out."""


@dataclass(frozen=True)
class PictureReaders:
    """What fills in of a picture's look what the run's own signatures have not."""

    hashed: Hashed
    embedded: Embedded


def write_tables(rows: ReleaseRows, folder: Path, *, pictures: bool, read: PictureReaders) -> list[Path]:
    """All splits below `folder`/data. Returns the files."""
    (folder / "data").mkdir()
    files: list[Path] = []
    for split, count in rows.counts().items():
        size = rows.picture_bytes(split) if pictures else 0
        groups = -(-count // (PICTURE_ROWS if pictures else ROWS))
        number = min(max(-(-count // FILE_ROWS), -(-size // FILE_BYTES), 1), groups)
        batches = _finished(rows, split, pictures, read)
        for file in range(number):
            path = folder / "data" / f"{split}-{file:05d}-of-{number:05d}.parquet"
            share = groups * (file + 1) // number - groups * file // number
            _write(path, islice(batches, share))
            files.append(path)
        if next(batches, None) is not None:
            raise HazmatError(f"{split} has more rows than were counted: the run has changed meanwhile; publish again")
    return files


def _write(path: Path, batches: Iterator[pa.Table]) -> None:
    first = next(batches)
    with pq.ParquetWriter(path, first.schema, compression="zstd", write_page_index=True) as writer:
        writer.write_table(first)
        for batch in batches:
            writer.write_table(batch.cast(first.schema))


def _finished(rows: ReleaseRows, split: str, pictures: bool, read: PictureReaders) -> Iterator[pa.Table]:
    """A table a row group."""
    for batch in rows.batches(split, PICTURE_ROWS if pictures else ROWS):
        if "unit" in rows.columns:  # the tier recipe, where looks are compared
            batch = _with_hashes(rows, batch, read.hashed)
        if "embedding" in rows.columns:
            batch = _with_embeddings(rows, batch, read.embedded)
        table = batch.drop_columns(list(PLACE))
        yield with_pictures(table, rows.pictures(batch)) if pictures else table


def _with_hashes(rows: ReleaseRows, batch: pa.Table, hashed: Hashed) -> pa.Table:
    """The batch with a perceptual hash in every row."""
    known = batch["phash"].to_pylist()
    if all(known):
        return batch
    files, formats = rows.pictures(batch), batch["format"].to_pylist()
    hashes = [one or hashed(file, form) for one, file, form in zip(known, files, formats, strict=True)]
    return batch.set_column(batch.column_names.index("phash"), "phash", pa.array(hashes, pa.string()))


def _with_embeddings(rows: ReleaseRows, batch: pa.Table, embedded: Embedded) -> pa.Table:
    """The batch with embeddings, of one maker."""
    if batch["embedding"].null_count < len(batch):
        return batch
    vectors, made_by = embedded(rows.pictures(batch), batch["format"].to_pylist())
    kind = batch.schema.field("embedding").type
    batch = batch.set_column(batch.column_names.index("embedding"), "embedding", pa.array(vectors, kind))
    names = pa.array([made_by] * len(batch), pa.string())
    return batch.set_column(batch.column_names.index("embedding_model"), "embedding_model", names)


def with_pictures(table: pa.Table, files: list[bytes]) -> pa.Table:
    """The table with the column `image` first, as the feature `Image` of `datasets` is stored."""
    from datasets import Features, Image

    names = [f"{key}.{form}" for key, form in zip(*(table[n].to_pylist() for n in ("key", "format")), strict=True)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    cells = [{"bytes": data, "path": name} for data, name in zip(files, names, strict=True)]
    table = table.add_column(0, pa.field("image", kind), pa.array(cells, kind))
    features = Features({**Features.from_arrow_schema(table.schema), "image": Image()})
    return table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features.to_dict()}})})
