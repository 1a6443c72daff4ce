"""What deciding costs, side by side in one process: CPU seconds of one thread, so that others' work hardly shows."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from bench.in_diffusion.detectors import STEPS
from bench.in_diffusion.pictures import spoken
from jobs.recipes.in_diffusion import EARLY
from pipeline.pack import PackPictures
from pipeline.rounds.captures import PackCaptures
from schemas.identity import seed_of
from schemas.protocols import Coverage, Inputs, Scorer, Scores
from stages.generate.captured_diffusion import CapturedDiffusion
from stages.generate.diffusion import Diffusion
from stages.generate.guarded_pipeline import GuardedPipeline
from stages.generate.loading import load
from stages.image_io.encode import Encode

ROWS = 8
REPEATS = 5
SCHEDULES = (10, 25, 50)
RATES = (0.0, 0.125, 0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Planted:
    """A detector at its full cost whose decision is planted: the first `flagged` rows are refused."""

    model: Scorer
    flagged: int
    threshold: float = 0.5

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def coverage(self) -> Coverage:
        return self.model.coverage

    @property
    def share(self) -> float:
        return float(self.model.share)  # type: ignore[attr-defined]  # of detectors

    def score(self, inputs: Inputs) -> Scores:
        """The model is asked, its answer replaced."""
        scores = self.model.score(inputs)
        flagged = (torch.arange(len(inputs)) < self.flagged).float()
        return replace(scores, unsafe=dict.fromkeys(scores.unsafe, flagged))


def in_turns(ways: Mapping[str, Callable[[], object]], turns: int = REPEATS) -> dict[str, float]:
    """CPU seconds of each way, the least of some turns: what the machine does beside them meets all alike.

    The first turn warms up.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(turns + 1):
        for name, work in ways.items():
            began = time.process_time()
            work()
            if turn:
                seconds[name].append(time.process_time() - began)
    return {name: min(values) for name, values in seconds.items()}


def capture_overhead() -> dict[str, float]:
    """Generating with captures against without, the same batch, in turns; drawing, encoding and packing."""
    plain = Diffusion(steps=STEPS)
    kept = CapturedDiffusion(steps=STEPS, keep=EARLY)
    batch = [sample.with_(batch_row=batch_row) for batch_row, sample in enumerate(spoken(plain.batch_size))]
    encode = Encode().open()
    ways = {"without": (plain.open(), PackPictures()), "with": (kept.open(), PackCaptures())}
    size: dict[str, int] = {}

    def generate(name: str) -> None:
        draw, pack = ways[name]
        files = list(pack.files(0, list(encode(list(draw(batch)))), "bench"))
        size[name] = sum(len(data) for _, data in files)

    least = in_turns({name: partial(generate, name) for name in ways})
    return {
        "capture_slower": round(least["with"] / least["without"] - 1, 4),
        "capture_kilobytes_per_picture": round((size["with"] - size["without"]) / len(batch) / 1024, 1),
        "seconds_per_picture": round(least["without"] / len(batch), 4),
    }


def deciding(text: Scorer, early: Mapping[str, Scorer], image: Scorer) -> dict[str, dict[str, float]]:
    """CPU seconds a picture until it is decided, by schedule: text filter, early detectors, full generation with image filter."""
    pipeline = load(Diffusion().weights(), 64)
    prompts = [sample.prompt for sample in spoken(ROWS)]
    asking = in_turns({"text": lambda: text.score(Inputs(tuple(prompts)))})["text"] / ROWS
    drawings = {"full": GuardedPipeline(pipeline, image=image)}
    drawings |= {name: GuardedPipeline(pipeline, early=Planted(model, ROWS)) for name, model in early.items()}
    latencies: dict[str, dict[str, float]] = {}
    for steps in SCHEDULES:
        ways = {name: partial(called, drawing, prompts, steps) for name, drawing in drawings.items()}
        took = {name: value / ROWS for name, value in in_turns(ways, REPEATS if steps == STEPS else 2).items()}
        full = took.pop("full")
        latencies[str(steps)] = {"text": round(asking, 5), "full_and_image": round(full, 5)}
        for name, decided in took.items():
            latencies[str(steps)] |= {name: round(decided, 5), f"{name}_of_full": round(decided / full, 4)}
    return latencies


def called(drawing: Any, prompts: list[str], steps: int) -> Any:
    """A call with a seed for each row."""
    generators = [torch.Generator().manual_seed(seed_of(prompt, "bench") % 2**31) for prompt in prompts]
    return drawing(prompts, num_inference_steps=steps, guidance_scale=3.0, generator=generators, output_type="np")


def guarded(early: Scorer, image: Scorer) -> dict[str, Any]:
    """The guarded pipeline at several unsafe rates, against drawing all and judging pictures; and if bytes are the same."""
    pipeline = load(Diffusion().weights(), 64)
    prompts = [sample.prompt for sample in spoken(ROWS)]
    bare = called(pipeline, prompts, STEPS).images
    figures: dict[str, Any] = {}
    for rate in RATES:
        planted: Any = Planted(early, round(rate * ROWS))
        guards: dict[str, Any] = {"full": GuardedPipeline(pipeline, image=image)}
        for mode in ("padded", "compact"):
            guards[mode] = GuardedPipeline(pipeline, early=planted, image=image, compact=mode == "compact")
        took = in_turns({mode: partial(called, guard, prompts, STEPS) for mode, guard in guards.items()}, 2)
        for mode in ("padded", "compact"):
            answer = called(guards[mode], prompts, STEPS)
            figures[f"{mode}_{rate:g}"] = {
                "evaluations_of_all": round(answer.evaluations / (2 * ROWS * STEPS), 4),
                "seconds_of_full_and_image": round(took[mode] / took["full"], 4),
            }
            if mode == "padded" and answer.images is not None:
                passed = [row for row in range(ROWS) if answer.refusals[row] is None]
                same = answer.images[passed].tobytes() == np.ascontiguousarray(bare[passed]).tobytes()
                figures["same_bytes"] = bool(figures.get("same_bytes", True) and same)
    return figures
