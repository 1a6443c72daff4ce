"""How long a decision takes: pixels and prompt in memory → flag, tokenising and resizing included, decoding of files not."""

import time
from collections.abc import Sequence
from typing import Any

import torch

from classifiers.data.labelled_sample import LabelledSample
from classifiers.evaluation.captures import Captures
from classifiers.evaluation.scoring import inputs_of
from schemas.protocols import Scorer

WARM_UP, ONES = 5, 40
BATCHES = (16, 64, 128)


def latency(scorer: Scorer, cases: Sequence[LabelledSample], kept: Captures | None = None) -> dict[str, Any]:
    """Milliseconds at batch 1 (median, 95th percentile), and rows a second at the best of BATCHES; of cases of one shape."""
    shape = cases[0].sample.pixels.shape if cases[0].sample.pixels is not None else None
    same = [case for case in cases if (None if case.sample.pixels is None else case.sample.pixels.shape) == shape]
    ones = [_seconds(scorer, [same[index % len(same)]], kept) for index in range(WARM_UP + ONES)][WARM_UP:]
    rates = {}
    for size in BATCHES:
        part = (same * (size // len(same) + 1))[:size]
        rates[size] = size / min(_seconds(scorer, part, kept) for _ in range(3))
    best = max(rates, key=lambda size: rates[size])
    ordered = sorted(ones)
    return {
        "scorer": scorer.name,
        "batch_1_ms": round(1000 * ordered[len(ordered) // 2], 2),
        "batch_1_p95_ms": round(1000 * ordered[int(0.95 * len(ordered))], 2),
        "best_batch": best,
        "rows_per_second": round(rates[best], 1),
        "threads": torch.get_num_threads(),
        "parameters": sum(p.numel() for p in scorer.parameters()) if isinstance(scorer, torch.nn.Module) else None,
    }


def _seconds(scorer: Scorer, cases: Sequence[LabelledSample], kept: Captures | None) -> float:
    inputs = inputs_of(cases, kept)
    started = time.perf_counter()
    for unsafe in scorer.score(inputs).unsafe.values():
        unsafe.cpu()  # waits for the accelerator
    return time.perf_counter() - started
