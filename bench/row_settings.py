"""What settings of rows cost against one fixed setting: `make bench-row-settings` (about 2 minutes on an idle core).

`by_row_over_fixed`: CPU seconds of 64 pictures whose rows each have another guidance, and so share calls, over those of one
guidance for all. `read_over_fixed`: rows that all ask for the very setting that the stage has. `buckets_over_fixed`: rows of three
schedulers, 32, 16 and 16 of each, so that batches of 16 stay full, over one. Pictures are of the embedded model, in units of 64;
fixed and other alternate, and the median ratio of the pairs counts. CPU time, since other processes share the machine.
"""

import json
import statistics
import time
from collections.abc import Sequence

import torch

from bench.report import report
from jobs.recipes.parts import embedded
from pipeline.stage import Step
from schemas.prompt import Prompt
from schemas.sample import Sample
from stages.generate.diffusion import Diffusion
from stages.world.grammar import prompts

UNIT, PAIRS = 64, 3
SCHEDULERS = ("DDIMScheduler", "EulerDiscreteScheduler", "dpm", "DDIMScheduler")


def unit(settings: Sequence[dict[str, object]]) -> list[Sample]:
    """Root samples of the grammar; row i asks for the settings at i modulo their number."""
    samples = [Sample.from_prompt(Prompt(p.prompt, p.generation_prompt), 0) for p in prompts(0, UNIT)]
    settings_of_rows = [
        json.dumps(settings[row % len(settings)], sort_keys=True) if settings else None for row in range(UNIT)
    ]
    return [sample.with_(asked_settings=text) for sample, text in zip(samples, settings_of_rows, strict=True)]


def seconds(stage: Diffusion, step: Step, samples: list[Sample]) -> float:
    """CPU seconds of planning and drawing a unit."""
    began = time.process_time()
    drawn = [sample for batch in stage.batches(samples) for sample in step(batch)]
    assert len(drawn) == UNIT
    return time.process_time() - began


def main() -> None:
    """Measure, and report."""
    torch.set_num_threads(1)
    stage = embedded()
    step = stage.open()
    cases: dict[str, list[dict[str, object]]] = {
        "read_over_fixed": [{"guidance_scale": 3.0}],
        "by_row_over_fixed": [{"guidance_scale": 2 + row / 10} for row in range(UNIT)],
        "buckets_over_fixed": [{"scheduler": name} for name in SCHEDULERS],
    }
    seconds(stage, step, unit([]))  # warms up
    figures = {}
    for name, settings in cases.items():
        pairs = [(seconds(stage, step, unit([])), seconds(stage, step, unit(settings))) for _ in range(PAIRS)]
        figures[name] = round(statistics.median(other / fixed for fixed, other in pairs), 3)
    report("row_settings", figures)


if __name__ == "__main__":
    main()
