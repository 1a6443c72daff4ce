"""Write and read shards beside the bare loops that one would write with webdataset alone. All on one thread."""

import contextlib
import io
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import webdataset

from jobs.recipes.named import recipe_of
from jobs.recipes.prompts import generating_plan
from jobs.recipes.sharding import pictogram
from pipeline.dataset.shards import FOLDER
from pipeline.engines.engine import EngineOptions, run_units
from pipeline.plan import Plan
from pipeline.rounds.existing_run import write_facts
from pipeline.rounds.round import environment, open_round, pending
from pipeline.storage.open_store import open_store
from pipeline.storage.store import Store
from schemas.run import RunConfig
from stages.rounds.shards_round import make_shards

REPEATS = 5
PER_SHARD = 512


def write_over_tarwriter(folder: Path, count: int) -> dict[str, Any]:
    """Pairs a second of the shards' round (fetch, check, tar, rows, hashes, fsync) over those of a bare loop.

    The bare loop reads the committed tars with webdataset, front to back, and writes what it gets with TarWriter: no
    shuffle, no rows, no hashes. `in_memory` is a bare loop that has all samples in memory already.
    """
    config = RunConfig(out=str(folder), recipe="render", count=count, engine="local")
    store = open_store(str(folder))
    plan = generating_plan(config, recipe_of(config))
    round_ = open_round(store, "rounds/000-generate", plan)
    write_facts(store, config, environment())
    for _ in run_units("local", 1, plan, round_, pending(round_)):
        pass
    recipe = pictogram()
    with contextlib.redirect_stderr(io.StringIO()):
        make_shards(
            store, config, replace(recipe, rules=replace(recipe.rules, per_shard=PER_SHARD)), EngineOptions("local")
        )
    tars = sorted(str(path) for path in folder.glob("rounds/000-generate/raw/*.tar"))
    samples = list(_plain(tars))
    times: dict[str, list[float]] = {"ours": [], "bare": [], "in_memory": []}
    for _ in range(REPEATS):  # in turn, so that a busy moment hits all alike
        times["ours"].append(_timed(lambda: _write_ours(store, folder)))
        times["bare"].append(_timed(lambda: _write_bare(folder / "bare", _plain(tars))))
        times["in_memory"].append(_timed(lambda: _write_bare(folder / "bare", iter(samples))))
    best = {name: median(values) for name, values in times.items()}
    return {
        "write_over_tarwriter": round(best["bare"] / best["ours"], 3),
        "write_over_tarwriter_in_memory": round(best["in_memory"] / best["ours"], 3),
        "write_pairs_per_second": round(len(samples) / best["ours"]),
    }


def _write_ours(store: Store, folder: Path) -> None:
    """The shards' round again, from its own plan, without planning."""
    from pipeline.dataset.shards import PackShard, keep_digest, slots_of
    from pipeline.rounds.items import PlannedItems
    from pipeline.rounds.rounds import reopen_round
    from stages.image_io.fetch_bytes import FetchBytes

    for path in folder.glob(f"{FOLDER}/receipts/*.json"):
        path.unlink()
    pack = PackShard(slots_of(store), keep_digest(store), store.url)
    round_ = reopen_round(store, FOLDER, pack)
    plan = Plan((FetchBytes(url=store.url),), PlannedItems(store, FOLDER), PER_SHARD, seed=0, pack=pack)
    for _ in run_units("local", 1, plan, round_, pending(round_)):
        pass


def _plain(tars: list[str]) -> Any:
    return iter(webdataset.WebDataset(tars, shardshuffle=False))


def _write_bare(folder: Path, samples: Any) -> None:
    folder.mkdir(exist_ok=True)
    shard = 0
    while part := list(islice(samples, PER_SHARD)):
        with webdataset.TarWriter(str(folder / f"{shard:06d}.tar")) as writer:
            for sample in part:
                writer.write({name: sample[name] for name in ("__key__", "png", "json")})
        shard += 1


def read_over_webdataset(folder: Path) -> dict[str, Any]:
    """Pairs a second that webdataset reads and decodes from our shards over those from TarWriter's, in turn."""
    ours = sorted(str(path) for path in folder.glob(f"{FOLDER}/*/*.tar"))
    bare = sorted(str(path) for path in folder.glob("bare/*.tar"))
    times: dict[str, list[float]] = {"ours": [], "bare": []}
    counts = {}
    for _ in range(REPEATS):
        for name, tars in (("ours", ours), ("bare", bare)):
            start = time.perf_counter()
            counts[name] = sum(1 for _ in webdataset.WebDataset(tars, shardshuffle=False).decode("rgb8"))
            times[name].append((time.perf_counter() - start) / counts[name])
    return {"read_over_webdataset": round(median(times["bare"]) / median(times["ours"]), 3)}


def _timed(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
