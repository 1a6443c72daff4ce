"""Simulated people: most of them decent, a few who answer by a coin."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.vote import VOTE_SCHEMA

SKILL = (0.70, 0.99)  # chance of a right answer, evenly spread over the decent ones: gives the majority about .92


def crowd(items: int, votes: int, people: int, spammers: int, seed: int = 0) -> tuple[pa.Table, npt.NDArray[np.bool_]]:
    """Votes of `VOTE_SCHEMA` on the image scope, by `votes` different people an item; and whether each item is unsafe [items]."""
    rng = np.random.default_rng(seed)
    truth = rng.random(items) < 0.5
    skill = np.concatenate([np.full(spammers, 0.5), np.linspace(*SKILL, people - spammers)])
    who = np.argpartition(rng.random((items, people), dtype=np.float32), votes, axis=1)[:, :votes]
    unsafe = np.where(rng.random((items, votes)) < skill[who], truth[:, None], ~truth[:, None]).ravel()
    rows = items * votes
    names = pa.array([f"person-{number:03d}" for number in range(people)])
    keys = pa.array([f"{number:032x}" for number in range(items)])
    columns: dict[str, pa.Array] = {field.name: pa.nulls(rows, field.type) for field in VOTE_SCHEMA}
    columns["key"] = keys.take(pa.array(np.repeat(np.arange(items), votes)))
    columns["annotator"] = names.take(pa.array(who.ravel()))
    columns["label"] = pa.array(["safe", "unsafe"]).take(pa.array(unsafe.astype(np.int64)))
    for name, value in {
        "scope": "image",
        "annotator_type": "human",
        "policy": "simulated",
        "policy_version": "1",
    }.items():
        columns[name] = pa.repeat(value, rows)
    lists = VOTE_SCHEMA.field("covers").type
    columns["covers"] = pa.repeat(pa.scalar(["any"], lists), rows)
    columns["categories"] = pa.repeat(pa.scalar([], lists), rows)
    columns["blind"], columns["gold"] = pa.repeat(True, rows), pa.repeat(False, rows)
    columns["round"] = pa.repeat("simulated", rows)
    return pa.table([columns[field.name] for field in VOTE_SCHEMA], schema=VOTE_SCHEMA), truth
