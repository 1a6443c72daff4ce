"""How every benchmark ends: one JSON object as the last line, and the same in bench/results/NAME.json."""

import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import psutil

RESULTS = Path(__file__).parent / "results"


def report(name: str, figures: Mapping[str, object], *, keep: bool = True) -> None:
    """Print and, to `keep` them, write `figures`, with the machine they were taken on."""
    machine = {
        "cpu_count": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
        "torch": version("torch"),
        "load_average": round(psutil.getloadavg()[0], 2),
    }
    text = json.dumps({**figures, "machine": machine}, sort_keys=True)
    if keep:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.json").write_text(json.dumps(json.loads(text), indent=1, sort_keys=True) + "\n")
    print(text)
