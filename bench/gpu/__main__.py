"""The main job on this machine's card beside loops written by hand: `make bench-gpu` (ARGS="--only sd15 --minutes 3").

Builds pipelines of the published sizes with random weights (no network), then draws with each by a stock loop of diffusers, by a
tuned loop, and by Hazmat's command with the local engine and with Ray. Rates are those of the steady part; `*_whole_*` have the
start in. A second part labels, trains, trains hardened and evaluates on the card and beside it. Exit status 2 without a card;
`--tiny` rehearses everything with tiny weights on the CPU, and says `"card": "not run on a card"`.
"""

import argparse
import multiprocessing
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.gpu.architectures import ARCHITECTURES, write
from bench.gpu.bare_loops import bare
from bench.gpu.card import NO_CARD, Watch, card, memory, mfu, watched_card
from bench.gpu.job_runs import JobRun, job
from bench.gpu.learning import learning
from bench.report import report

PARTS = (*ARCHITECTURES, "learning")
DRAWING = 0.4  # of the minutes are steady drawing; the rest is loading, compiling and learning
ROWS, TINY_ROWS = 4096, 48
NO_WAY = "bench-gpu: torch sees no CUDA device on this machine; --tiny rehearses the bench on the CPU"


def main() -> int:
    """Measure what was asked for; the figures are the last line and bench/results/gpu.json (a rehearsal's are printed only)."""
    asked = _asked()
    name = card()
    if name is None and not asked.tiny:
        print(NO_WAY, file=sys.stderr)
        return 2
    figures: dict[str, Any] = {"card": NO_CARD if asked.tiny else name, "minutes": asked.minutes}
    with tempfile.TemporaryDirectory(prefix="hazmat-bench-gpu-") as scratch, watched_card() as watch:
        folder = Path(scratch)
        drawing = [part for part in asked.only if part in ARCHITECTURES]
        for part in drawing:
            architecture = ARCHITECTURES[part]
            if not asked.tiny and architecture.memory > memory():
                figures[f"{part}_left_out"] = f"needs {architecture.memory / 2**30:.0f} GiB of a card's memory"
                continue
            seconds = 0.1 if asked.tiny else asked.minutes * 60 * DRAWING / (4 * len(drawing))
            figures |= {
                f"{part}_{key}": value for key, value in _drawn(part, folder, seconds, watch, asked.tiny).items()
            }
            print({key: value for key, value in figures.items() if key.startswith(part)}, flush=True)
        if "learning" in asked.only:
            figures |= learning(folder, TINY_ROWS if asked.tiny else ROWS, beside=not asked.tiny)
    figures |= _in_short(figures)
    report("gpu", figures, keep=not asked.tiny)
    return 0


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(PARTS), help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--minutes", type=float, default=8.0, help="about how long to measure (default: %(default)s)")
    parser.add_argument("--tiny", "--dry-run", action="store_true", help="tiny weights on the CPU: a rehearsal")
    asked = parser.parse_args()
    asked.only = [part.strip() for part in asked.only.split(",") if part.strip()]
    wrong = [part for part in asked.only if part not in PARTS]
    if wrong or not asked.only or asked.minutes <= 0:
        parser.error(f"--only takes {', '.join(PARTS)}, --minutes a number above 0; got {asked.only}, {asked.minutes}")
    return asked


def _drawn(part: str, scratch: Path, seconds: float, watch: Watch, tiny: bool) -> dict[str, Any]:
    """Four ways to draw with one architecture, each in a process of its own, one after the other."""
    architecture, folder = ARCHITECTURES[part], scratch / part
    _alone(write, architecture, folder, "cpu" if tiny else "cuda", tiny)
    flags = architecture.flags(tiny)
    figures: dict[str, Any] = {}
    for way in ("stock", "tuned"):
        loop = _alone(bare, part, folder, seconds, tuned=way == "tuned", tiny=tiny)
        figures |= {
            f"{way}_images_per_second": round(loop.images_per_second, 2),
            f"{way}_warm_up_seconds": round(loop.warm_up_seconds, 1),
            f"{way}_mfu": mfu(loop.flops, loop.images_per_second, card()),
            **_seen(way, watch, loop.begun, loop.ended),
        }
        figures["denoiser_tflop_an_image"] = round(loop.flops / 1e12, 4)
        fastest = loop
    for engine in ("local", "ray"):
        images = round(fastest.images_per_second * seconds)
        run = job(architecture.recipe, folder, scratch / f"{part}-{engine}", images, "--engine", engine, *flags)
        figures |= _told(engine, run, fastest.flops) | _seen(engine, watch, run.begun, run.ended)
    best = max(figures["local_images_per_second"], figures["ray_images_per_second"])
    figures["over_stock"] = round(best / figures["stock_images_per_second"], 3)
    figures["over_tuned"] = round(best / figures["tuned_images_per_second"], 3)
    return figures


def _told(engine: str, run: JobRun, flops: float) -> dict[str, Any]:
    return {
        f"{engine}_images_per_second": round(run.images_per_second, 2),
        f"{engine}_whole_images_per_second": run.whole,
        f"{engine}_first_unit_seconds": round(run.before_first_unit, 2),
        f"{engine}_mfu": mfu(flops, run.images_per_second, card()),
        f"{engine}_start_up": run.summary.get("start_up"),
    }


def _seen(way: str, watch: Watch, begun: float, ended: float) -> dict[str, Any]:
    return {
        f"{way}_gpu_utilisation": watch.utilisation(begun, ended),
        f"{way}_peak_memory_gib": watch.peak_gib(begun, ended),
    }


def _in_short(figures: dict[str, Any]) -> dict[str, Any]:
    """The keys that a comparison of runs reads: the worst utilisation and the longest start of all jobs."""
    jobs = [f"{part}_{engine}" for part in ARCHITECTURES for engine in ("local", "ray")]
    busy = [figures[key] for job in jobs if figures.get(key := f"{job}_gpu_utilisation") is not None]
    starts = [figures[key] for job in jobs if (key := f"{job}_first_unit_seconds") in figures]
    return {"gpu_utilisation": min(busy, default=None), "first_unit_seconds": max(starts, default=None)}


def _alone(function: Any, *arguments: object, **named: object) -> Any:
    """In a fresh process, so that no measurement inherits another's memory, caches or clocks."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments, named)


if __name__ == "__main__":
    sys.exit(main())
