"""Pictures from an address that misbehaves, with a SIGKILL in the middle: `make bench-remote-images` (about 2 minutes).

A server on loopback refuses 5 % of 5,000 prompts, throttles 5 %, drops the connection of 2 % and answers garbage to 1 %, to a
quarter of these for good. `jobs/generate.py` draws them with `--model openai:URL`, is killed once half of the units are
committed, and goes on. Each row is accounted for once: drawn, refused or in quarantine.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

from bench.faulty_images import FaultyImages, faulty
from bench.report import report

PROMPTS = 5_000
SERVER = FaultyImages(refuses=0.05, throttles=0.05, drops=0.02, garbles=0.01, lasting=4)


def command(out: Path, prompts: Path, model: str) -> list[str]:
    """One process, so that a kill is one of the driver and of the worker."""
    given = ("--recipe", "diffusion", "--restricted", "--engine", "local", "--quiet", "--image-price", "0.04")
    return [sys.executable, "jobs/generate.py", "--out", str(out), "--prompts", str(prompts), "--model", model, *given]


def wait_for(out: Path, units: int, process: "subprocess.Popen[bytes]") -> None:
    """Until so many are committed."""
    while len(list(out.glob("rounds/*/receipts/*.json"))) < units:
        assert process.poll() is None, f"it ended by itself with {process.returncode}"
        time.sleep(0.02)


def rows(out: Path, kind: str) -> list[dict[str, object]]:
    """Of the committed files of a kind."""
    files = sorted(out.glob(f"rounds/000-generate/{kind}/*.parquet"))
    return [row for file in files for row in pq.ParquetFile(file).read().to_pylist()]


def accounted(server: FaultyImages, out: Path, prompts: list[str]) -> dict[str, object]:
    """How many rows are where. Raises AssertionError for a row that is missing, there twice, or not where it belongs."""
    found = {kind: rows(out, kind) for kind in ("raw", "refused", "quarantine")}
    keys = Counter(row["key"] for each in found.values() for row in each)
    told = Counter(str(row["prompt"]) for each in found.values() for row in each)
    assert told == Counter(prompts) and set(keys.values()) == {1}, "a prompt is missing, or there twice"
    for kind, fates in (
        ("raw", {"draws", "throttles", "drops", "garbles"}),
        ("refused", {"refuses"}),
        ("quarantine", {"garbles"}),
    ):
        assert {server.fate(str(row["prompt"])) for row in found[kind]} <= fates, kind
    assert all(server.lasts(str(row["prompt"])) for row in found["quarantine"])
    return {kind: len(each) for kind, each in found.items()}


def killed_and_resumed(server: FaultyImages, count: int, folder: Path) -> dict[str, object]:
    """Draw `count` prompts, killed once in the middle; the figures."""
    file, out = folder / "prompts.txt", folder / "run"
    prompts = [f"a picture of thing number {number}" for number in range(count)]
    file.write_text("\n".join(prompts) + "\n")
    with faulty(server):
        began = time.perf_counter()
        call = command(out, file, server.model)
        process = subprocess.Popen(call, env={**os.environ, "HAZMAT_GENERATOR_KEY": "key-of-a-bench"})
        wait_for(out, -(-count // 64) // 2, process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        status = subprocess.run(
            call, env={**os.environ, "HAZMAT_GENERATOR_KEY": "key-of-a-bench"}, check=False
        ).returncode
        seconds = time.perf_counter() - began
    where = accounted(server, out, prompts)
    assert status == (3 if where["quarantine"] else 0), status
    held = [file for file in out.rglob("*") if file.is_file() and b"key-of-a-bench" in file.read_bytes()]
    assert not held, f"the key stands in {held}"
    twice = sum(times - 1 for times in server.drawn.values() if times > 1)
    return {"prompts": count, **where, "drawn_twice_for_the_kill": twice, "seconds": round(seconds, 1)}


def main() -> None:
    """5,000 of them, and report."""
    with tempfile.TemporaryDirectory(prefix="hazmat-bench-") as folder:
        report("remote_images", killed_and_resumed(SERVER, PROMPTS, Path(folder)))


if __name__ == "__main__":
    main()
