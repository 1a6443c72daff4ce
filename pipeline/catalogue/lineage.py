"""Why is this sample what it is: prompt → seed → model → variant → votes → label → group → shard."""

import json
from typing import Any

from pipeline.catalogue.answers import collect, plain
from pipeline.catalogue.duck import Connection, parquet, reader
from pipeline.catalogue.gather import REVOKED, REVOKED_SCHEMA
from pipeline.rounds.rounds import all_rounds
from pipeline.storage.store import Store
from schemas.errors import InputError
from schemas.sample import SAMPLE_SCHEMA

LONGEST = 64  # ancestors: more than any chain of attacks; a loop in broken data ends here
MADE = ("generator", "revision", "scheduler", "steps", "guidance_scale", "seed")
PICTURE = ("format", "width", "height", "image_sha256", "tar", "tar_offset", "tar_size")
PLACE = ("group", "split", "test_set", "shard", "weight", "kept", "reason", "detail")


def _absent(con: Connection, store: Store, key: str) -> str:
    """Why there is no such sample: it was revoked, or never was."""
    if store.size(REVOKED) is not None:
        gone = _one(con, parquet(store, [REVOKED], REVOKED_SCHEMA), key)
        if gone is not None:
            why = f", for: {gone['reason']}" if gone["reason"] else " (no reason was given)"
            return f"{store.url}: the sample {key} was revoked at {gone['time']}{why}"
    return f"{store.url} has no sample {key}: neither planned nor committed"


def ancestry(con: Connection, store: Store, key: str) -> dict[str, Any]:
    """All that is known of a sample. Raises InputError if the run has no such key."""
    plans = parquet(store, [f"{folder}/plan.parquet" for folder in all_rounds(store)], SAMPLE_SCHEMA)
    chain: list[dict[str, Any]] = []
    wanted: str | None = key
    while wanted is not None and len(chain) < LONGEST:
        row = _one(con, "samples", wanted) or _one(con, plans, wanted)
        if row is None:
            break
        chain.append(row)
        wanted = row["parent"]
    if not chain:
        raise InputError(_absent(con, store, key))
    votes = _all(con, "SELECT * FROM votes WHERE key = ? ORDER BY scope, round, annotator", key)
    labels = _all(con, "SELECT * FROM labels WHERE key = ? ORDER BY scope", key)
    siblings = _all(con, 'SELECT count(*) AS size FROM samples WHERE "group" = ?', chain[0].get("group"))
    return {"sample": chain[0], "ancestors": chain[1:], "votes": votes, "labels": labels, "group": siblings[0]["size"]}


def _one(con: Connection, relation: str, key: str) -> dict[str, Any] | None:
    rows = _all(con, f"SELECT * FROM {relation} WHERE key = ? LIMIT 1", key)
    return rows[0] if rows else None


def _all(con: Connection, sql: str, value: str | None) -> list[dict[str, Any]]:
    answer = collect(reader(con.sql(sql, params=[value])))
    return [dict(zip(answer.columns, map(plain, row), strict=True)) for row in answer.rows]


def print_ancestry(ancestry: dict[str, Any], form: str) -> None:
    """As one JSON object, or as lines from the prompt down to the shard."""
    if form != "table":
        print(json.dumps(ancestry, ensure_ascii=False))
        return
    chain = [*reversed(ancestry["ancestors"]), ancestry["sample"]]
    root = chain[0]
    print(f"prompt    {root['prompt']!r}" + _but(root))
    print(f"          {_said(root, ('source', 'source_id', 'licence', 'language', 'category', 'label'))}")
    for row in chain:
        print(f"sample    {row['key']}" + (f", child of {row['parent']}" if row["parent"] else ", the root"))
        if row["attack"]:
            attack = {name: value for name, value in row["attack"].items() if value is not None}
            print(f"  variant {_said(attack, tuple(attack))}")
            print(f"  prompt  {row['prompt']!r}" + _but(row))
        if row["generator"]:
            print(f"  made by {_said(row, MADE)}, round {row.get('round')}, unit {row.get('unit')}")
        if row["image_sha256"]:
            print(f"  picture {_said(row, PICTURE)}")
    sample = ancestry["sample"]
    for vote in ancestry["votes"]:
        print(
            f"vote      {vote['scope']}: {_said(vote, ('label', 'categories', 'score', 'annotator', 'round', 'reason'))}"
        )
    for label in ancestry["labels"]:
        print(
            f"label     {label['scope']}: {_said(label, tuple(name for name in label if name not in ('key', 'scope')))}"
        )
    if not ancestry["votes"]:
        print("votes     none: jobs/label.py makes them")
    print(f"group     {sample.get('group')}, of {ancestry['group']} samples")
    print(f"shard     {_said(sample, PLACE)}" if sample.get("split") else "shard     none: jobs/shards.py makes them")


def _but(row: dict[str, Any]) -> str:
    cut = " (cut off by its text encoders)" if row.get("truncated") else ""
    return f", drawn as {row['generation_prompt']!r}{cut}" if row["generation_prompt"] != row["prompt"] else ""


def _said(row: dict[str, Any], names: tuple[str, ...]) -> str:
    return ", ".join(f"{name} {row[name]}" for name in names if row.get(name) not in (None, [], ""))
