"""What a run would take: units and pictures by arithmetic, bytes and time from one real batch, in seconds."""

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from pipeline.engines.unit import OpenStage
from pipeline.plan import Plan
from schemas.run import RunConfig
from schemas.sample import Sample

LONG = 10.0  # seconds: a first batch that took longer is not drawn a second time to be timed warm


@dataclass(frozen=True)
class Calibration:
    """What one batch of the plan's own first items took: `seconds` for `pictures` of `size` bytes in all, made of `items` items."""

    seconds: float
    pictures: int
    size: int
    items: int
    warm: bool


def print_estimate(plan: Plan, config: RunConfig, items: int, how: str, as_json: bool) -> int:
    """Print the estimate of `items` root samples, known as `how` says; writes nothing. Returns exit code 0."""
    measured = calibrate(plan, config.engine)
    pictures = round(items * measured.pictures / max(1, measured.items))
    workers = config.workers or default_workers(config.engine)
    a_picture = measured.seconds / max(1, measured.pictures)
    size = pictures * measured.size / max(1, measured.pictures)
    estimate = {
        "units": -(-items // plan.unit_size),
        "images": pictures,
        "prompts_known": how,
        "expected_bytes": round(size),
        "expected_seconds": round(pictures * a_picture / workers, 1),
        "workers": workers,
        "seconds_per_image": round(a_picture, 5),
        "measured_images": measured.pictures,
        "measured_warm": measured.warm,
    }
    first = "" if measured.warm else ", its first, with what loading takes"
    print(
        f"{estimate['units']} units, {pictures} images ({how}), about {size / 1e6:.1f} MB and "
        f"{duration(pictures * a_picture / workers)} with {workers} worker(s) like this one, beside what starting takes "
        f"(measured now on {measured.pictures} images{first}: {a_picture:.3g} s an image)"
    )
    if as_json:
        print(json.dumps(estimate))
    return 0


def calibrate(plan: Plan, engine: str) -> Calibration:
    """One batch to warm up and one to be timed, as a worker draws them: on one thread where several will work side by side."""
    if engine != "local":
        import torch

        torch.set_num_threads(1)
    opened = [OpenStage(index, stage) for index, stage in enumerate(plan.stages)]
    drawing = next((stage.batch_size for stage in plan.stages if stage.resources.accelerator), 64)
    a_batch = max(1, drawing // math.prod(stage.fan_out for stage in plan.stages))
    items = list(islice(iter(plan.items), 2 * a_batch))
    parts = [items[:a_batch], items[a_batch:] or items[:a_batch]]
    cold, samples = _timed(lambda: _through(opened, parts[0]))
    part, seconds = parts[0], cold
    if warm := cold < LONG:
        part = parts[1]
        seconds, samples = _timed(lambda: _through(opened, part))
    size = sum(len(data) for _, data in plan.pack.files(0, samples, ""))
    return Calibration(seconds, len(samples), size, len(part), warm)


def _timed(work: Callable[[], list[Sample]]) -> tuple[float, list[Sample]]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def default_workers(engine: str) -> int:
    """As the engines take them (`ray_engine`): every accelerator, else every core but one."""
    if engine == "local":
        return 1
    import torch

    return torch.cuda.device_count() or max(1, (os.cpu_count() or 1) - 1)


def drawn_on_cpu(engine: str) -> bool:
    """Whether workers will have no accelerator, as far as it is known before they are there: a cluster's may have some."""
    import torch

    address = os.environ.get("RAY_ADDRESS", "")
    cluster = engine == "ray" and address not in ("", "local") and not address.startswith("http")
    return not cluster and not torch.accelerator.is_available()


def _through(opened: list[OpenStage], samples: list[Sample]) -> list[Sample]:
    for stage in opened:
        samples = [sample for batch in stage.stage.batches(samples) for sample in stage.step(batch)]
    return samples


def duration(seconds: float) -> str:
    """`2 h 05 min`, `3 min 20 s` or `7 s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
