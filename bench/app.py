"""How quickly the web app answers over a million samples: make bench-app writes bench/results/app.json.

A synthetic run (real schema, no pictures) with splits, labels and a classifier's scores is written, the app is started on it as its
user does, and each page is asked for over HTTP: the first time (nothing of it was asked before) and then nine times more.
"""

import argparse
import http.client
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.report import report

ROWS, AGAIN, DEEP = 1_000_000, 9, 200
SCORER = "synthetic"
PAGES = {
    "first_page": "/gallery",
    "facet": "/gallery?label=unsafe&split=test",
    "words": "/gallery?q=knife",
    "disagreement": "/gallery?sort=disagreement",
    "margin": f"/gallery?sort=margin&scorer={SCORER}",
    "error": f"/gallery?error=fn&scorer={SCORER}&threshold=0.7",
    "thresholds": f"/thresholds?scorer={SCORER}",
}


def write_run(folder: Path, rows: int) -> None:
    """The rounds of bench/shards, and what jobs/shards.py, jobs/label.py and jobs/evaluate.py would have left."""
    from bench.shards.synthetic import write_synthetic_run
    from pipeline.storage.open_store import open_store

    store = open_store(str(folder))
    write_synthetic_run(store, rows)
    names = sorted((folder / "rounds/000-generate/raw").glob("*.parquet"))
    keys = pa.concat_tables([pq.read_table(name, columns=["key"]) for name in names])["key"].combine_chunks()
    rng = np.random.default_rng(0)
    pq.write_table(_groups(keys, rng), folder / "groups.parquet")
    labels = rng.choice(["safe", "unsafe", "na"], rows, p=[0.6, 0.35, 0.05])
    pq.write_table(_labels(keys, labels, rng), folder / "labels.parquet")
    place = folder / "results" / "test" / SCORER / "none"
    place.mkdir(parents=True)
    pq.write_table(_results(keys, labels, rng), place / "00000.parquet")


def _groups(keys: pa.Array, rng: np.random.Generator) -> pa.Table:
    from schemas.catalogue import GROUPS_SCHEMA

    known = {
        "key": keys,
        "group": keys,
        "split": pa.array(rng.choice(["train", "val", "test"], len(keys), p=[0.8, 0.1, 0.1])),
        "kept": pa.array(rng.random(len(keys)) < 0.9),
    }
    return _table(known, GROUPS_SCHEMA, len(keys))


def _labels(keys: pa.Array, labels: np.ndarray, rng: np.random.Generator) -> pa.Table:
    from pipeline.votes.labels import LABELS_SCHEMA

    rows = len(keys)
    known = {
        "key": keys,
        "scope": pa.array(["pair"] * rows),
        "label": pa.array(labels),
        "categories": pa.array([[] for _ in range(rows)], pa.list_(pa.string())),
        "entropy": pa.array(rng.random(rows)),
        "agreement": pa.array(rng.choice([0.5, 2 / 3, 1.0], rows, p=[0.05, 0.15, 0.8])),
        "decided_by": pa.array(rng.choice(["machine", "human", "waiting", "nobody"], rows, p=[0.9, 0.05, 0.02, 0.03])),
    }
    return _table(known, LABELS_SCHEMA, rows)


def _results(keys: pa.Array, labels: np.ndarray, rng: np.random.Generator) -> pa.Table:
    from classifiers.evaluation.results import RESULT_SCHEMA

    rows = len(keys)
    scores = np.clip(rng.normal(np.where(labels == "unsafe", 0.7, 0.3), 0.2), 0, 1)
    known = {
        "key": keys,
        "sample": keys,
        "root": keys,
        "scorer": pa.array([SCORER] * rows),
        "attack": pa.array(["none"] * rows),
        "setting": pa.array(["clean"] * rows),
        "scope": pa.array(["pair"] * rows),
        "label": pa.array(labels),
        "score": pa.array(scores),
        "threshold": pa.array(np.full(rows, 0.5)),
    }
    return _table(known, RESULT_SCHEMA, rows)


def _table(known: dict[str, pa.Array], schema: pa.Schema, rows: int) -> pa.Table:
    columns = [
        known[field.name].cast(field.type) if field.name in known else pa.nulls(rows, field.type) for field in schema
    ]
    return pa.table(columns, schema=schema)


def started(run: Path, tokens: Path) -> tuple["subprocess.Popen[str]", int]:
    """The command, when it listens, and its port."""
    command = [sys.executable, "jobs/app.py", str(run), "--port", "0", "--token-file", str(tokens)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"http://127.0.0.1:(\d+)", line):
            return process, int(found[1])
    raise RuntimeError("the app ended before it listened")


def asked(port: int, path: str, cookie: str) -> tuple[float, bytes]:
    """Milliseconds and the page."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    began = time.perf_counter()
    line.request("GET", path, headers={"Cookie": cookie, "Accept": "text/html"})
    answer = line.getresponse()
    page = answer.read()
    took = 1000 * (time.perf_counter() - began)
    line.close()
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status} {page[:200]!r}")
    return took, page


def entered(port: int, tokens: Path) -> str:
    """The cookie of the operator."""
    token = json.loads(tokens.read_text())["people"][0]["token"]
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    line.request("GET", f"/enter?token={token}")
    return line.getresponse().headers["set-cookie"].split(";")[0]


def measured(port: int, cookie: str) -> dict[str, float]:
    """Of each page the first answer and the median of those after; and of a page far down."""
    figures: dict[str, float] = {}
    for name, path in PAGES.items():
        figures[f"{name}_ms"] = round(asked(port, path, cookie)[0], 1)
        figures[f"{name}_again_ms"] = round(float(np.median([asked(port, path, cookie)[0] for _ in range(AGAIN)])), 1)
    path = PAGES["disagreement"]
    for _ in range(DEEP):
        took, page = asked(port, path, cookie)
        found = re.search(rb'rel="next" href="([^"]+)"', page)
        assert found is not None
        path = found[1].decode().replace("&amp;", "&")
    return {**figures, f"page_{DEEP}_ms": round(took, 1)}


def main() -> None:
    """Write the run (or take the one that --run names), start, ask."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--run", type=Path, help="a folder for the run, kept; taken as it is if it is there")
    config = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hazmat-bench-app-") as scratch:
        run = config.run or Path(scratch) / "run"
        if not run.exists():
            write_run(run, config.rows)
        tokens = Path(scratch) / "tokens"
        began = time.perf_counter()
        process, port = started(run, tokens)
        try:
            figures: dict[str, object] = {
                "rows": config.rows,
                "first_start_seconds": round(time.perf_counter() - began, 1),
            }
            figures |= measured(port, entered(port, tokens))
        finally:
            process.terminate()
            process.wait(60)
        began = time.perf_counter()
        process, port = started(run, tokens)
        figures["start_seconds"] = round(time.perf_counter() - began, 1)
        process.terminate()
        process.wait(60)
    report("app", figures)


if __name__ == "__main__":
    main()
