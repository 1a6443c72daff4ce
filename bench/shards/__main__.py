"""Measure shards: grouping and queries at a million rows, writing and reading beside bare webdataset.

    make bench-shards        (python -m bench.shards [--rows 1000000] [--pictures 4096])

Prints one JSON object last and writes bench/results/shards.json. Keys: `groups_seconds_1m`, `groups_seconds_100k` (gather, groups,
splits, keep-list; wall, best of 3), `groups_peak_gb` (of that process at 1 M), `queries_median_ms` (the slowest of the ten
documented queries, median of 5), `write_over_tarwriter`, `read_over_webdataset` (rates over bare loops', higher is better).
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import duckdb

from bench.report import report
from bench.shards.documented import documented_queries
from bench.shards.speed import read_over_webdataset, write_over_tarwriter
from bench.shards.synthetic import write_synthetic_run
from jobs.recipes.sharding import pictogram
from pipeline.catalogue.duck import scratch_database
from pipeline.catalogue.views import open_views, refresh
from pipeline.selection.keep import make_keep_list
from pipeline.storage.open_store import open_store

SMALLER = 10  # the second size is a tenth
REPEATS = 5
GROUPINGS = 3


def main() -> None:
    """Both sizes, the queries, the writing, the reading."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--pictures", type=int, default=4096)
    parser.add_argument("--groups-of", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.groups_of:
        print(json.dumps(groups_here(args.groups_of)))
        return
    with tempfile.TemporaryDirectory(prefix="hazmat-bench-") as folder:
        figures: dict[str, Any] = {"rows": args.rows, "pictures": args.pictures}
        small, large = f"{folder}/small", f"{folder}/large"
        write_synthetic_run(open_store(small), args.rows // SMALLER)
        figures["groups_seconds_100k"] = groups_apart(small)["seconds"]
        write_synthetic_run(open_store(large), args.rows)
        grouped = groups_apart(large)
        figures |= {
            "groups_seconds_1m": grouped["seconds"],
            "groups_peak_gb": grouped["peak_gb"],
            "kept": grouped["kept"],
        }
        figures["largest_group"] = grouped["largest"]
        figures |= query_times(large)
        figures |= write_over_tarwriter(Path(folder) / "pictures", args.pictures)
        figures |= read_over_webdataset(Path(folder) / "pictures")
    report("shards", figures)


def groups_apart(run: str) -> dict[str, Any]:
    """Group in a process of its own, so that its peak memory is its own. Of GROUPINGS the quickest counts: other work on
    the machine only ever adds. Each starts without an earlier split.
    """
    command = [sys.executable, "-m", "bench.shards", "--groups-of", run]
    groups: list[dict[str, Any]] = []
    for _ in range(GROUPINGS):
        for name in ("groups.parquet", "keep.parquet"):
            open_store(run).delete(name)
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        groups.append(json.loads(done.stdout.splitlines()[-1]))
    return min(groups, key=lambda one: one["seconds"])


def groups_here(run: str) -> dict[str, Any]:
    """Groups, splits and keep-list of a run, timed."""
    store = open_store(run)
    start = time.perf_counter()
    with scratch_database() as con:
        figures = make_keep_list(con, store, pictogram().rules)
    seconds = round(time.perf_counter() - start, 2)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # kB → GB
    return {
        "seconds": seconds,
        "peak_gb": round(peak, 2),
        "kept": figures["kept"],
        "largest": figures["largest_group"]["size"],
    }


def query_times(run: str) -> dict[str, Any]:
    """Median milliseconds of each documented query, and of the slowest."""
    store = open_store(run)
    start = time.perf_counter()
    refresh(store)
    seconds: dict[str, Any] = {"catalogue_seconds": round(time.perf_counter() - start, 2)}
    each = {}
    with duckdb.connect() as con:
        open_views(con, store)
        for title, sql in documented_queries():
            times = []
            for _ in range(REPEATS):
                start = time.perf_counter()
                con.execute(sql).fetchall()
                times.append(time.perf_counter() - start)
            each[title] = round(1000 * median(times), 1)
    return seconds | {"queries_median_ms": max(each.values()), "queries_ms": each}


if __name__ == "__main__":
    main()
