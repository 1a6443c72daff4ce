"""Lay out what grouping has to know of each committed sample as one table, `facts`, in a scratch database."""

import pyarrow as pa

from pipeline.catalogue.duck import Connection, parquet, reach
from pipeline.rounds.rounds import committed_files, rounds_with
from pipeline.storage.store import Store
from schemas.catalogue import GROUPS_SCHEMA, KEEP_SCHEMA
from schemas.errors import InputError
from schemas.sample import SAMPLE_SCHEMA
from schemas.signature import SIGNATURE_SCHEMA

GROUPS, KEEP, REVOKED = "groups.parquet", "keep.parquet", "revoked.parquet"
REVOKED_SCHEMA = pa.schema([("key", pa.string()), ("time", pa.string()), ("reason", pa.string())])


def committed(store: Store, kind: str, suffix: str = ".parquet") -> list[str]:
    """Names of all committed files of a kind ("raw", "signatures", …) in all rounds, in order."""
    files = (committed_files(store, folder, f"{kind}/", suffix) for folder in rounds_with(store, kind))
    return [name for names in files for name in names]


def derived(store: Store, name: str, schema: pa.Schema) -> str:
    """SQL of a derived file at the run's root, empty if it is not there."""
    return parquet(store, [name] if store.size(name) is not None else [], schema)


def gather(con: Connection, store: Store) -> int:
    """Create `facts` with a row a sample, `id` counting from 0 in the order of keys. Returns the number of samples.

    `signed` is false where no round of signatures has the sample; the last round counts where several have. `was_split`
    and `was_kept` are what earlier shards of this run said. Raises InputError if nothing is committed.
    """
    reach(con, store)
    raw = parquet(store, committed(store, "raw"), SAMPLE_SCHEMA)
    signatures = parquet(store, committed(store, "signatures"), SIGNATURE_SCHEMA)
    con.execute(f"""
        CREATE TABLE facts AS
        WITH signed AS (
            SELECT * FROM {signatures} QUALIFY row_number() OVER (PARTITION BY key ORDER BY file DESC) = 1
        )
        SELECT row_number() OVER (ORDER BY raw.key) - 1 AS id,
            raw.key, raw.root, raw.parent, raw.clean, raw.prompt, raw.generation_prompt,
            raw.source,
            raw.category, raw.label, raw.generator, raw.attack.name AS attack, raw.attack.family AS family,
            json_extract_string(raw.attack.parameters, '$.parents[*]') AS parents, raw.scene,
            signed.key IS NOT NULL AS signed, coalesce(signed.blank, false) AS blank, signed.prompt_digest,
            coalesce(signed.spelling_digest, signed.prompt_digest) AS spelling_digest,
            signed.pixels_sha256, signed.phash, signed.minhash, signed.embedding, signed.concepts, signed.style,
            earlier.split AS was_split, coalesce(earlier.kept, false) AS was_kept
        FROM {raw} raw LEFT JOIN signed USING (key) LEFT JOIN {derived(store, GROUPS, GROUPS_SCHEMA)} earlier USING (key)
        WHERE raw.key NOT IN (SELECT key FROM {derived(store, REVOKED, REVOKED_SCHEMA)})
        ORDER BY raw.key
    """)
    [(count, keys)] = con.execute("SELECT count(*), count(DISTINCT key) FROM facts").fetchall()
    if not count:
        raise InputError(f"{store.url} holds no committed pairs yet: run jobs/generate.py --out {store.url} first")
    if count != keys:
        raise InputError(f"{store.url}: {count - keys} keys were committed twice; jobs/verify.py names them")
    return int(count)


def previous_keep(store: Store) -> str:
    """SQL of the keep-list that is there, or of an empty one."""
    return derived(store, KEEP, KEEP_SCHEMA)
