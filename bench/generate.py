"""The main job against bare loops that do the same work: `make bench-generate` (about 12 minutes on 2 idle cores).

`local_over_bare`, `ray_over_bare`: images per second of the whole job, one worker, over a bare `diffusers` loop with the same
batch and one thread. Rates are taken from the first finished unit (or batch) to the last, since at a million pictures the
start does not count; `*_start_seconds` say what it costs. Bare and job alternate, and the median ratio of the pairs counts.
`render_over_bare`: drawn scenes, two workers on Ray, over two bare processes that draw, encode and write with webdataset.
`driver_rss_mb`: peak memory of the driver at 10,000 and at 200,000 samples.
"""

import argparse
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.report import report
from bench.stages import Tile
from jobs.recipes.pictogram import pictogram, render
from pipeline.engines.engine import run_units
from pipeline.plan import Plan
from pipeline.rounds.round import open_round, pending
from pipeline.storage.image_codec import encode
from pipeline.storage.open_store import open_store
from schemas.prompt import Prompt
from schemas.run import RunConfig
from schemas.sample import Sample
from stages.generate.replicate import Replicate
from stages.image_io.encode import Encode
from stages.world.draw import Pictures, draw
from stages.world.grammar import prompts
from stages.world.reader import read
from stages.world.scene import compose

DIFFUSION_IMAGES = 384
RENDER_IMAGES = 10_240


@dataclass(frozen=True)
class GrammarRoots:
    """Root samples of the first `count` grammar prompts."""

    count: int

    def __iter__(self) -> Iterator[Sample]:
        return (Sample.from_prompt(Prompt(p.prompt, p.generation_prompt), 0) for p in prompts(0, self.count))


def job_rate(plan: Plan, engine: str, workers: int) -> tuple[float, float]:
    """Pictures a second from the first receipt on disk to the last, and seconds until the first."""
    with tempfile.TemporaryDirectory(prefix="hazmat-bench-") as folder:
        start = time.time()
        round_ = open_round(open_store(folder), "rounds/000-generate", plan)
        samples = [receipt.samples for receipt in run_units(engine, workers, plan, round_, pending(round_))]
        written = sorted(file.stat().st_mtime for file in Path(folder, round_.folder, "receipts").iterdir())
    # With several workers the first unit of each ends at about the same time; the rate counts from the last of those.
    return sum(sorted(samples)[: len(samples) - workers]) / (written[-1] - written[workers - 1]), written[0] - start


def bare_diffusion(count: int) -> tuple[float, float]:
    """The same pictures by a plain loop over `StableDiffusionPipeline`: rate after the first 64, seconds until then."""
    start = time.perf_counter()
    import torch
    from diffusers import StableDiffusionPipeline

    torch.set_num_threads(1)
    pipeline = StableDiffusionPipeline.from_pretrained("assets/world/t2i", local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    texts = [sample.generation_prompt for sample in GrammarRoots(count)]
    first = 0.0
    for at in range(0, count, 16):
        generators = [torch.Generator("cpu").manual_seed(at + row) for row in range(16)]
        pictures = pipeline(
            texts[at : at + 16], num_inference_steps=10, guidance_scale=3.0, generator=generators
        ).images
        assert len(pictures) == 16
        if at == 48:
            first = time.perf_counter()
    return (count - 64) / (time.perf_counter() - first), first - start


def bare_render(count: int, folder: str, offset: int) -> float:
    """Draw, encode and write `count` scenes with webdataset's TarWriter; the rate after the first 256."""
    import webdataset

    pictures = Pictures.load("noto")
    first = 0.0
    with webdataset.TarWriter(f"{folder}/{offset}.tar") as writer:
        for index, prompt in enumerate(prompts(0, offset + count, start=offset)):
            request = read(prompt.generation_prompt)
            rng = np.random.default_rng(index)
            scene = compose(rng, request.concepts, colour=request.colour, ground=request.ground, style=request.style)
            fields = {"prompt": prompt.prompt, "scene": scene.to_json()}
            writer.write({"__key__": f"{index:09d}", "png": encode(draw(scene, pictures), "png"), "json": fields})
            if index == 255:
                first = time.perf_counter()
    return (count - 256) / (time.perf_counter() - first)


def driver_memory(images: int) -> int:
    """Peak MiB of a driver that carries out `images` tiny pictures on Ray."""
    plan = Plan((Replicate(images_per_prompt=8), Tile(), Encode()), GrammarRoots(images // 8), unit_size=64, seed=0)
    job_rate(plan, "ray", 2)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def alone(function: Any, *arguments: object) -> Any:
    """Call in a fresh process, so that no measurement inherits another's memory or caches."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def diffusion_job(engine: str) -> tuple[float, float]:
    """The default recipe with one worker."""
    return job_rate(pictogram(RunConfig(out="")).plan(GrammarRoots(DIFFUSION_IMAGES), seed=0), engine, 1)


def render_job() -> tuple[float, float]:
    """The render recipe with two workers on Ray."""
    return job_rate(render(RunConfig(out="")).plan(GrammarRoots(RENDER_IMAGES), seed=0), "ray", 2)


def render_bare_twice() -> float:
    """Two bare processes side by side; the sum of their rates."""
    half = RENDER_IMAGES // 2
    with tempfile.TemporaryDirectory() as folder, multiprocessing.get_context("spawn").Pool(2) as pool:
        return sum(pool.starmap(bare_render, [(half, folder, 0), (half, folder, half)]))


def main() -> None:
    """Measure in pairs, report medians of ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3, help="times that bare and job alternate (default: %(default)s)")
    pairs = parser.parse_args().pairs
    local, ray, rendered, starts = [], [], [], []
    for _ in range(pairs):
        bare, _ = alone(bare_diffusion, DIFFUSION_IMAGES)
        local_rate, local_start = alone(diffusion_job, "local")
        ray_rate, ray_start = alone(diffusion_job, "ray")
        local.append(local_rate / bare)
        ray.append(ray_rate / bare)
        starts.append((local_start, ray_start))
        render_rate, _ = alone(render_job)
        rendered.append((render_rate, render_rate / render_bare_twice()))
    small, large = alone(driver_memory, 10_000), alone(driver_memory, 200_000)
    report(
        "generate",
        {
            "local_over_bare": round(statistics.median(local), 3),
            "ray_over_bare": round(statistics.median(ray), 3),
            "render_over_bare": round(statistics.median(ratio for _, ratio in rendered), 3),
            "render_images_per_second": round(statistics.median(rate for rate, _ in rendered), 1),
            "driver_rss_mb": large,
            "driver_rss_mb_at_10k": small,
            "diffusion_images_per_second_bare": round(bare, 2),
            "local_start_seconds": round(statistics.median(s for s, _ in starts), 1),
            "ray_start_seconds": round(statistics.median(s for _, s in starts), 1),
            "pairs": pairs,
            "all_ratios": {"local": local, "ray": ray, "render": [ratio for _, ratio in rendered]},
        },
    )


if __name__ == "__main__":
    main()
