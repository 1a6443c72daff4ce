"""`recipe/` of a release: what the generating round was made by, so that others make its pictures again.

`run.json` (the facts), `round.json` (stages, settings, digests of weights), `plan.parquet` (a row group a unit) and the receipts.
Paths of the machine are cut to their last name everywhere.
"""

import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.catalogue.gather import REVOKED
from pipeline.release.rows import GENERATE
from pipeline.rounds.control_files import card
from pipeline.rounds.round import environment
from pipeline.storage.store import Store
from schemas.control_file import control_json
from schemas.errors import InputError
from schemas.generation import ADDRESSES
from schemas.run import RunConfig
from schemas.sample import SAMPLE_SCHEMA, upgraded

FOLDER = f"rounds/{GENERATE}"
WORDS = ("prompt", "generation_prompt", "negative_prompt", "scene")
_PATH = re.compile(r"(^|[^\w.~-])/(?:[^+/]*/)*")


def write_recipe(store: Store, facts: RunConfig, folder: Path, *, words: bool) -> None:
    """Below `folder`/recipe. Raises InputError for a run that others could not make again."""
    refuse_unmade(facts, store.url)
    place = folder / "recipe"
    (place / "receipts").mkdir(parents=True)
    (place / "run.json").write_bytes(public_facts(facts).to_json(environment()))
    known = card(store, FOLDER) | {"stages": public_stages(card(store, FOLDER)["stages"])}
    (place / "round.json").write_bytes(control_json(known))
    with pq.ParquetWriter(place / "plan.parquet", SAMPLE_SCHEMA, compression="zstd") as writer:
        for unit in _units(store, words):
            writer.write_table(unit, row_group_size=max(len(unit), 1))
    for name in store.names(f"{FOLDER}/receipts"):
        (place / "receipts" / Path(name).name).write_bytes(store.read(name) or b"")


def refuse_unmade(facts: RunConfig, where: str) -> None:
    """Raise InputError for a run whose pictures depend on the operator's own classifiers, code or lists."""
    asked = [name for name in (facts.model, *(facts.models or []), facts.writer) if name and name.startswith(ADDRESSES)]
    if asked:
        raise InputError(
            f"{where} was drawn or written behind an address ({cut_paths(asked[0])}): nobody can make it again. "
            "Publish the tier metadata, embeddings or pictures"
        )
    for name in ("guard", "picture_check", "hash_list"):
        if getattr(facts, name) is not None:
            raise InputError(
                f"{where} was made with --{name.replace('_', '-')}, which no release holds: nobody else can make it again. "
                "Publish the tier metadata or embeddings"
            )


def public_facts(facts: RunConfig) -> RunConfig:
    """The facts without the machine's paths."""
    cut = {name: cut_paths(value) for name, value in asdict(facts).items() if name not in ("out", "workers")}
    return replace(facts, **cut, out="release", workers=None)


def public_stages(stages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Descriptions of stages without the machine's paths."""
    return [{name: cut_paths(value) for name, value in stage.items()} for stage in stages]


def cut_paths(value: Any) -> Any:
    """Every whole path in a text, or in the texts of a list, cut to its last name."""
    if isinstance(value, list):
        return [cut_paths(one) for one in value]
    return _PATH.sub(r"\1", value) if isinstance(value, str) else value


def _units(store: Store, words: bool) -> Iterator[pa.Table]:
    """The plan, a unit at a time, without what was revoked, and without `words` its texts; an empty unit stays one."""
    revoked = pa.array([], pa.string())
    if store.size(REVOKED) is not None:
        with store.open(REVOKED) as file:
            revoked = pq.read_table(file, columns=["key"])["key"].combine_chunks()
    with store.open(f"{FOLDER}/plan.parquet") as file:
        plan = pq.ParquetFile(file)
        for unit in range(plan.num_row_groups):
            table = upgraded(plan.read_row_group(unit)).select(SAMPLE_SCHEMA.names)
            table = table.filter(pc.invert(pc.is_in(table["key"], revoked)))
            for name in () if words else WORDS:
                empty = (
                    pa.nulls(len(table), pa.string()) if name != "prompt" else pa.array([""] * len(table), pa.string())
                )
                table = table.set_column(table.column_names.index(name), name, empty)
            yield table.cast(SAMPLE_SCHEMA)
