"""What a run would take: units and pictures by counting, bytes and time from a short calibration."""

import json
import time
from itertools import islice

from pipeline.engines.unit import OpenStage
from pipeline.plan import Plan
from schemas.run import RunConfig
from schemas.sample import Sample

CALIBRATION_BATCHES = 2  # the first warms up, the second is timed


def print_estimate(plan: Plan, config: RunConfig, as_json: bool) -> int:
    """Print the estimate; writes nothing. Returns exit code 0."""
    items = sum(1 for _ in plan.items)
    seconds, size, per_item = _calibrate(plan)
    pictures = round(items * per_item)
    workers = config.workers or 1
    estimate = {
        "units": -(-items // plan.unit_size),
        "images": pictures,
        "expected_bytes": round(pictures * size),
        "expected_seconds": round(pictures * seconds / workers, 1),
        "workers": workers,
        "seconds_per_image": round(seconds, 5),
    }
    print(
        f"{estimate['units']} units, {pictures} images, about {estimate['expected_bytes'] / 1e6:.1f} MB and "
        f"{_duration(estimate['expected_seconds'])} with {workers} worker(s) like this machine's"
    )
    if as_json:
        print(json.dumps(estimate))
    return 0


def _calibrate(plan: Plan) -> tuple[float, float, float]:
    """Seconds and bytes a picture, and pictures an item, from a few real batches of the plan's own first items."""
    opened = [OpenStage(index, stage) for index, stage in enumerate(plan.stages)]
    batch_size = next((stage.batch_size for stage in plan.stages if stage.resources.accelerator), 64)
    items = list(islice(iter(plan.items), CALIBRATION_BATCHES * batch_size))
    parts = [items[:batch_size], items[batch_size:] or items[:batch_size]]
    seconds, given = 0.0, []
    for part in parts:
        start = time.perf_counter()
        given = _through(opened, part)
        seconds = time.perf_counter() - start
    size = sum(len(data) for _, data in plan.pack.files(0, given, ""))
    return seconds / max(1, len(given)), size / max(1, len(given)), len(given) / max(1, len(parts[1]))


def _through(opened: list[OpenStage], samples: list[Sample]) -> list[Sample]:
    for stage in opened:
        batches = range(0, len(samples), stage.stage.batch_size)
        given = []
        for first in batches:
            part = samples[first : first + stage.stage.batch_size]
            given += list(stage.step([sample.with_(batch_row=batch_row) for batch_row, sample in enumerate(part)]))
        samples = given
    return samples


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
