#!/usr/bin/env python
"""The main job end to end on the embedded world: `make demo`. Later stages of the street join here as they are built."""

import argparse
import subprocess
import sys
from pathlib import Path

from jobs.command import DONE, run_command
from jobs.contact_sheet import contact_sheet
from pipeline.store import open_store

PAIRS = 256


def main() -> int:
    """Generate, then say where things are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="runs/demo")
    out = Path(parser.parse_args().out).absolute()
    code = _job(
        "generate.py",
        "--out",
        str(out),
        "--recipe",
        "pictogram",
        "--count",
        str(PAIRS),
        "--engine",
        "ray",
        "--workers",
        "2",
    )
    if code != DONE:
        return code
    store = open_store(str(out))
    store.write("contact_sheet.png", contact_sheet(store, ["rounds/000-generate"]))
    print(f"\npictures and rows   {out}/rounds/000-generate/raw/unit-*.tar, .parquet")
    print(f"receipts            {out}/rounds/000-generate/receipts/")
    print(f"contact sheet       {out}/contact_sheet.png   (what is not claimed safe is blurred)")
    return DONE


def _job(script: str, *arguments: str) -> int:
    """Run one of the jobs as its user would, and say so."""
    print(f"$ jobs/{script} {' '.join(arguments)}", flush=True)
    return subprocess.run([sys.executable, str(Path(__file__).with_name(script)), *arguments], check=False).returncode


if __name__ == "__main__":
    run_command(main)
