"""The catalogue: `catalog.sql` beside the data, and the tables its views read, brought up to date with the rounds.

The rounds hold thousands of small files; a question must not open them all. So their rows are gathered into one file a view under
`catalogue/`, made anew when a receipt or a derived file has changed, and deleted without loss.
"""

import json
from dataclasses import dataclass

import pyarrow as pa

from pipeline.catalogue.duck import Connection, as_it_is, parquet, quoted, reach, scratch_database
from pipeline.catalogue.gather import GROUPS, KEEP, committed, derived
from pipeline.catalogue.labels import LABELS, labels_wide
from pipeline.pack import digest, write_table
from pipeline.rounds.control_files import read_receipt
from pipeline.rounds.ledger import recorded
from pipeline.rounds.rounds import all_rounds
from pipeline.storage.store import Store
from schemas.catalogue import GROUPS_SCHEMA, KEEP_SCHEMA
from schemas.manifest import Receipt
from schemas.quarantine import QUARANTINE_SCHEMA
from schemas.refusal import REFUSED_SCHEMA
from schemas.sample import LOCATION, SAMPLE_SCHEMA
from schemas.signature import SIGNATURE_SCHEMA
from schemas.vote import VOTE_SCHEMA

FOLDER = "catalogue"
STATE = f"{FOLDER}/state.json"
VIEWS = ("samples", "votes", "labels", "receipts", "quarantine", "shards", "results", "refusals")
LABELS_SCHEMA = pa.schema(
    [("key", pa.string()), ("scope", pa.string()), ("label", pa.string()), ("categories", pa.list_(pa.string()))]
)
RESULTS_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("scorer", pa.string()),
        ("attack", pa.string()),
        ("scope", pa.string()),
        ("score", pa.float64()),
    ]
)
RECEIPTS_SCHEMA = pa.schema(
    [
        ("round", pa.string()),
        ("unit", pa.int64()),
        ("stage", pa.string()),
        ("taken", pa.int64()),
        ("given", pa.int64()),
        ("dropped", pa.int64()),
        ("quarantined", pa.int64()),
        ("refused", pa.int64()),
        ("seconds", pa.float64()),
        ("samples", pa.int64()),  # of the unit, on each of its rows
        ("bytes", pa.int64()),
        ("level", pa.string()),
        ("torch", pa.string()),
    ]
)
PICTURE_FACTS = ("snr", "edge_density", "entropy", "blank", "concepts", "style", "pixels_sha256", "phash")

CATALOG_SQL = """\
-- The catalogue of a Hazmat run: {views}.
--
--   cd RUN && duckdb -init catalog.sql            or, from anywhere (also s3://…, with a file system that DuckDB can read):
--   SET VARIABLE run = '/where/the/run/lies'   and   .read /where/the/run/lies/catalog.sql
--
-- Paths are taken from the variable `run`, so a run may be moved. `jobs/query.py RUN` brings the tables up to date first.
SET VARIABLE run = coalesce(getvariable('run'), '.');
{body}
"""


def catalog_sql() -> str:
    """The text of `catalog.sql`; the same for every run."""
    lines = [
        f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM read_parquet(getvariable('run') || '/{FOLDER}/{name}.parquet');"
        for name in VIEWS
    ]
    return CATALOG_SQL.format(views=", ".join(VIEWS), body="\n".join(lines))


def refresh(store: Store) -> bool:
    """Bring the catalogue up to date; whether there was anything to do."""
    state = state_of(store)
    if store.read(STATE) == state:
        return False
    with recorded(store, f"{FOLDER}/", "catalog.sql", by="jobs/query.py"):
        _write(store, state)
    return True


def _write(store: Store, state: bytes) -> None:
    with scratch_database() as con:
        reach(con, store)
        for name, sql, order in sources(store):
            relation = con.sql(f"SELECT * FROM ({sql}) ORDER BY {order}")
            reader = relation.to_arrow_reader(122_880)  # DuckDB's own row-group size
            write_table(store, f"{FOLDER}/{name}.parquet", reader.schema, (pa.Table.from_batches([b]) for b in reader))
    write_table(store, f"{FOLDER}/receipts.parquet", RECEIPTS_SCHEMA, iter([receipts_table(store)]))
    store.write("catalog.sql", catalog_sql().encode())
    store.write(STATE, state)


def open_views(con: Connection, store: Store) -> None:
    """Make the views in a connection, as `catalog.sql` does."""
    reach(con, store)
    con.execute(f"SET VARIABLE run = {quoted(store.url)}")
    for statement in catalog_sql().split(";"):
        if "CREATE" in statement:
            con.execute(statement)


def state_of(store: Store) -> bytes:
    """What the catalogue depends on: which views there are, which units are committed, and the derived files' sizes."""
    receipts = [name for name in store.names("rounds") if "/receipts/" in name]
    receipts += [name for name in store.names("shards") if "/receipts/" in name]
    files = [GROUPS, KEEP, LABELS, "shards/manifest.json", "revoked.parquet"]
    sizes = {name: store.size(name) for name in (*files, *_results(store))}
    return json.dumps(
        {"receipts": len(receipts), "names": digest("\n".join(receipts).encode()), "sizes": sizes, "views": VIEWS}
    ).encode()


def _results(store: Store) -> list[str]:
    return [name for name in store.names("results") if name.endswith(".parquet")]


def sources(store: Store) -> list[tuple[str, str, str]]:
    """Each view but receipts as (name, SQL, order)."""
    raw = parquet(store, committed(store, "raw"), SAMPLE_SCHEMA)
    signatures = parquet(store, committed(store, "signatures"), SIGNATURE_SCHEMA)
    groups = derived(store, GROUPS, GROUPS_SCHEMA)
    keep = derived(store, KEEP, KEEP_SCHEMA)
    facts = ", ".join(f"signed.{name}" for name in PICTURE_FACTS)
    round_of = "regexp_extract(raw.file, '^rounds/([^/]+)/', 1)"
    unit_of = "regexp_extract(raw.file, 'unit-(\\d+)', 1)::BIGINT"
    samples = f"""
        SELECT raw.* EXCLUDE (file), {round_of} AS round, {unit_of} AS unit, {facts}, groups."group", groups.split,
            count(*) OVER (PARTITION BY groups."group") AS group_size, groups.test_set, groups.kept, groups.reason, groups.detail,
            keep.shard, keep.weight, labelled.* EXCLUDE (key)
        FROM {raw} raw
        LEFT JOIN (SELECT * FROM {signatures} QUALIFY row_number() OVER (PARTITION BY key ORDER BY file DESC) = 1) signed
            USING (key)
        LEFT JOIN {groups} groups USING (key) LEFT JOIN {keep} keep USING (key)
        LEFT JOIN ({labels_wide(store)}) labelled USING (key)
    """
    votes = parquet(store, committed(store, "votes"), VOTE_SCHEMA)
    quarantine = parquet(store, committed(store, "quarantine"), QUARANTINE_SCHEMA)
    refused = parquet(store, committed(store, "refused"), REFUSED_SCHEMA)
    results = as_it_is(store, _results(store), RESULTS_SCHEMA)
    labels = as_it_is(store, [LABELS] if store.size(LABELS) is not None else [], LABELS_SCHEMA)
    shards = f"""
        SELECT split, shard, printf('shards/%s/%06d.tar', split, shard) AS tar, count(*) AS samples,
            round(sum(weight), 6) AS weight, count(DISTINCT "group") AS groups FROM {keep} GROUP BY split, shard
    """
    return [
        ("samples", samples, "key"),
        ("votes", f"SELECT * EXCLUDE (file) FROM {votes}", "key, scope, annotator, round, time"),
        ("labels", labels, "key, scope"),
        ("quarantine", f"SELECT *, {round_of.replace('raw.file', 'file')} AS round FROM {quarantine}", "file, key"),
        ("shards", shards, "split, shard"),
        ("results", results, "key"),
        ("refusals", f"SELECT * EXCLUDE ({', '.join(('file', *LOCATION))}) FROM {refused}", "key"),
    ]


@dataclass(frozen=True, slots=True)
class _Unit:
    """A receipt and where it lies."""

    round: str
    receipt: Receipt

    def rows(self) -> list[dict[str, object]]:
        """One row a stage."""
        size = sum(entry.size for entry in self.receipt.files)
        shared = {
            "round": self.round,
            "unit": self.receipt.unit,
            "samples": self.receipt.samples,
            "bytes": size,
            "level": self.receipt.level,
            "torch": self.receipt.environment.get("torch"),
        }
        fields = ("stage", "taken", "given", "dropped", "quarantined", "refused", "seconds")
        return [shared | {name: getattr(count, name) for name in fields} for count in self.receipt.stages]


def receipts_table(store: Store) -> pa.Table:
    """The receipts, a row a stage of a unit."""
    rows: list[dict[str, object]] = []
    for folder in [*all_rounds(store), "shards"]:
        for name in store.names(f"{folder}/receipts"):
            receipt = read_receipt(store, name)
            rows += _Unit(folder.removeprefix("rounds/"), receipt).rows()
    return pa.Table.from_pylist(rows, schema=RECEIPTS_SCHEMA)
