"""Whether the pictures show what the prompts ask for, how fast they come, and whether the same seed gives the same."""

from __future__ import annotations

import hashlib
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from bench.world.figures import Figure, resampled, share, without_target
from bench.world.models import BATCH, Models, load_pipeline, tag
from bench.world.scenes import CORE, NAMES, pairs, singles
from bench.world.tagging import NONE, found, top1
from stages.world.captions import caption
from stages.world.scene import Scene
from stages.world.training.generation_accuracy import generate

_PROMPTS = [f"a picture of {name.replace('_', ' ')}" for name in NAMES[:BATCH]]


def _seen(models: Models, scenes: list[Scene], rng: np.random.Generator, seed: int, held_out: bool) -> Tensor:
    """Tagger's probabilities of pictures drawn from correctly spelt captions, one attribute in five unmentioned."""
    prompts = [caption(scene, rng, typos=0.0, held_out=held_out) for scene in scenes]
    return tag(models, generate(models.pipe, prompts, seed))


def _pairs(models: Models, seen: Tensor, scenes: list[Scene]) -> dict[str, Figure]:
    """Recall of a pair's concepts by the tagger's threshold, and as the two likeliest concepts."""
    hits = found(models, seen, scenes)
    best = seen[:, :NONE].topk(2, dim=1).indices.tolist()
    top2 = np.array([len({NAMES[i] for i in two} & set(s.concepts)) / 2 for s, two in zip(scenes, best, strict=True)])
    return {
        "t2i_core_pair_recall": resampled(lambda i: float(hits[i].mean()), len(hits), 0.60),
        "t2i_core_pair_both": share(hits.all(1)),
        "t2i_core_pair_recall_top2": resampled(lambda i: float(top2[i].mean()), len(top2)),
        "t2i_core_pair_both_top2": share(top2 == 1.0),
    }


def measure(models: Models) -> dict[str, Figure]:
    """In the held-out phrasing; `..._known` in that of the training captions; `..._or_none` lets `none` win too."""
    rng = np.random.default_rng(70_002)
    ones, core, twos = singles(rng, NAMES, 500), singles(rng, CORE, 480), pairs(rng, CORE, 400)
    seen = _seen(models, ones, rng, 1_000_000, True)
    known = _seen(models, ones, rng, 1_000_000, False)
    hits, known_hits = top1(seen[:, :NONE], ones), top1(known[:, :NONE], ones)
    plain = [i for i, s in enumerate(ones) if s.style == "normal" and s.ground == "plain"]
    known_pairs = _pairs(models, _seen(models, twos, rng, 3_000_000, False), twos)
    return {
        "t2i_all_single": share(hits, 0.90),
        "t2i_all_single_or_none": share(top1(seen, ones)),
        "t2i_all_single_plain": share([hits[i] for i in plain]),
        "t2i_all_single_known": share(known_hits),
        "t2i_all_single_known_plain": share([known_hits[i] for i in plain]),
        "t2i_core_single": share(top1(_seen(models, core, rng, 2_000_000, True)[:, :NONE], core), 0.95),
        "t2i_core_single_known": share(top1(_seen(models, core, rng, 2_000_000, False)[:, :NONE], core)),
        **_pairs(models, _seen(models, twos, rng, 3_000_000, True), twos),
        "t2i_core_pair_recall_known": without_target(known_pairs["t2i_core_pair_recall"]),
        "t2i_core_pair_recall_top2_known": known_pairs["t2i_core_pair_recall_top2"],
    }


def digest(pipe: Any) -> str:
    """sha256 of `BATCH` pictures of one seed."""
    return hashlib.sha256(generate(pipe, _PROMPTS, 4_000_000).tobytes()).hexdigest()


def in_a_process_of_its_own(assets: Path) -> None:
    """Print what `costs` asks a fresh process for: digest, images a second, peak memory."""
    pipe = load_pipeline(assets)
    generate(pipe, _PROMPTS[:2], 0)
    started = time.perf_counter()
    first = digest(pipe)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # kB on Linux
    print(json.dumps({"digest": first, "images_per_second": BATCH / seconds, "peak_memory_mb": peak}))


def costs(models: Models, assets: Path) -> dict[str, Figure]:
    """Speed and memory of a process that only draws, and whether its bytes are ours."""
    command = [
        sys.executable,
        "-m",
        "bench.world",
        "--assets",
        str(assets),
        "--draw-only",
    ]
    ran = [subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(3)]
    rows = [json.loads(text.strip().splitlines()[-1]) for text in ran]
    same = {digest(models.pipe), *(row["digest"] for row in rows)}
    speed = [row["images_per_second"] for row in rows]
    return {
        "images_per_second": {
            "value": round(float(np.median(speed)), 2),
            "n": len(rows),
            "range": [round(min(speed), 2), round(max(speed), 2)],
        },
        "peak_memory_mb": {"value": round(max(row["peak_memory_mb"] for row in rows), 1), "n": len(rows)},
        "same_seed_same_bytes": {"value": len(same) == 1, "n": len(rows) + 1},
    }
