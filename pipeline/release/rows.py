"""Which samples of a run are published, and their rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256

import pyarrow as pa

from pipeline.catalogue.duck import Connection, parquet, scratch_database
from pipeline.catalogue.gather import REVOKED, REVOKED_SCHEMA, committed, derived
from pipeline.catalogue.views import open_views
from pipeline.release.columns import columns_of
from pipeline.storage.store import Store
from schemas.errors import HazmatError, InputError
from schemas.signature import SIGNATURE_SCHEMA

GENERATE = "000-generate"
SPLITS = ("train", "validation", "test")
PLACE = ("tar", "tar_offset", "tar_size")
"""Where a picture lies in the run: columns that are read beside the published ones, and never published."""


@dataclass(frozen=True)
class ReleaseRows:
    """The published samples of a run as the view `published`: the tier's columns, and where their pictures lie."""

    con: Connection
    store: Store
    columns: tuple[str, ...]

    def counts(self) -> dict[str, int]:
        """Rows by split, in the order train, validation, test; none that is empty."""
        counts = dict(self.con.execute("SELECT split, count(*) FROM published GROUP BY split").fetchall())
        return {split: int(counts[split]) for split in SPLITS if split in counts}

    def picture_bytes(self, split: str) -> int:
        """Bytes of a split's picture files."""
        [(total,)] = self.con.execute("SELECT sum(tar_size) FROM published WHERE split = ?", [split]).fetchall()
        return int(total or 0)

    def batches(self, split: str, rows: int) -> Iterator[pa.Table]:
        """A split's rows by key, `rows` at a time and the rest last; the columns of `PLACE` last.

        The connection answers nothing else until all of them were taken.
        """
        relation = self.con.sql(f"SELECT * FROM published WHERE split = '{split}' ORDER BY key")
        reader = relation.to_arrow_reader(rows)
        held = reader.schema.empty_table()
        for batch in reader:  # of DuckDB's own size, whatever was asked for
            held = pa.concat_tables([held, pa.Table.from_batches([batch])])
            while len(held) >= rows:
                yield held.slice(0, rows).combine_chunks()
                held = held.slice(rows)
        if len(held):
            yield held.combine_chunks()

    def pictures(self, batch: pa.Table) -> list[bytes]:
        """The picture files of a batch. Raises HazmatError for one that is not what was committed."""
        places = list(zip(*(batch[name].to_pylist() for name in PLACE), strict=True))
        pictures = self.store.read_ranges(places)
        for key, wanted, data in zip(
            batch["key"].to_pylist(), batch["image_sha256"].to_pylist(), pictures, strict=True
        ):
            if sha256(data).hexdigest() != wanted:
                raise HazmatError(
                    f"{self.store.url}: the picture of {key} is not what was committed; jobs/verify.py says what is wrong, and "
                    "nothing was published"
                )
        return pictures

    def asked(self, sql: str) -> list[tuple[object, ...]]:
        """The rows of a question over `published` and the run's views."""
        rows: list[tuple[object, ...]] = self.con.execute(sql).fetchall()
        return rows


@contextmanager
def release_rows(store: Store, tier: str, *, words: bool) -> Iterator[ReleaseRows]:
    """The rows of a tier: what the shards keep, or all that is committed where there are none, never what was revoked.

    The tier `recipe` has the pictures that the generating round drew: variants take the classifiers that were attacked.
    Raises InputError where nothing is left to publish, or some embeddings are missing.
    """
    columns = columns_of(tier, words=words)
    with scratch_database() as con:
        open_views(con, store)
        con.execute("SET preserve_insertion_order = true; SET TimeZone = 'UTC'")
        [(kept,)] = con.execute("SELECT count(*) FROM samples WHERE kept").fetchall()
        rules = [f"s.key NOT IN (SELECT key FROM {derived(store, REVOKED, REVOKED_SCHEMA)})", "s.tar IS NOT NULL"]
        rules += ["s.kept"] if kept else []
        rules += [f"s.round = '{GENERATE}'"] if tier == "recipe" else []
        joined = f"LEFT JOIN ({_signed(store)}) e ON e.key = s.key" if tier == "embeddings" else ""
        con.execute(f"""
            CREATE VIEW published AS SELECT {", ".join(column.selected for column in columns)},
                {", ".join(f"s.{name}" for name in PLACE)}
            FROM samples s {joined} WHERE {" AND ".join(rules)}
        """)
        rows = ReleaseRows(con, store, tuple(column.name for column in columns))
        if not rows.counts():
            raise InputError(f"{store.url} has nothing to publish in the tier {tier}: no sample is committed and kept")
        if tier == "embeddings":
            _refuse_half_signed(rows)
        yield rows


def _signed(store: Store) -> str:
    signatures = parquet(store, committed(store, "signatures"), SIGNATURE_SCHEMA)
    last = "row_number() OVER (PARTITION BY key ORDER BY file DESC) = 1"
    return f"SELECT key, embedding, embedding_model FROM {signatures} QUALIFY {last}"


def _refuse_half_signed(rows: ReleaseRows) -> None:
    """Embeddings of two makers in one release could not be compared: all of the run's, or none of them."""
    [(missing, total)] = rows.con.execute(
        "SELECT count(*) FILTER (embedding IS NULL), count(*) FROM published"
    ).fetchall()
    if 0 < missing < total:
        raise InputError(
            f"{missing} of {total} samples of {rows.store.url} have no embedding yet: jobs/shards.py {rows.store.url} makes them, "
            "then this again"
        )
