"""Top-1 of generated pictures by the tagger, so that the curve of `t2i` shows what the issue asks for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import StableDiffusionPipeline

from stages.world.captions import caption
from stages.world.scene import Scene, compose
from stages.world.training.scene_batches import CORE, INDEX, as_pixels
from stages.world.vocabulary import COLOURS, VOCABULARY

STEPS, GUIDANCE = 10, 3.0
SINGLES = len(VOCABULARY)  # each concept once
PAIRS = 64

Judge = Callable[[StableDiffusionPipeline], dict[str, float]]


def generate(pipe: StableDiffusionPipeline, prompts: list[str], seed: int, batch: int = 32) -> np.ndarray[Any, Any]:
    """uint8 [B, 64, 64, 3]; every prompt has a generator of its own, so batching changes nothing that is asked for."""
    parts = []
    for start in range(0, len(prompts), batch):
        some = prompts[start : start + batch]
        generators = [torch.Generator().manual_seed(seed + start + i) for i in range(len(some))]
        output = pipe(
            some,
            num_inference_steps=STEPS,
            guidance_scale=GUIDANCE,
            generator=generators,
            output_type="np",
            height=64,
            width=64,
        )
        parts.append(np.rint(output.images * 255).astype(np.uint8))
    return np.concatenate(parts)


@torch.no_grad()
def tag(model: Any, pictures: np.ndarray[Any, Any], batch: int = 64) -> torch.Tensor:
    """Logits float32 [B, concepts + 1] of uint8 pictures [B, 64, 64, 3]; the last label is `none`."""
    parts = torch.split(torch.from_numpy(pictures), batch)
    return torch.cat([model(pixel_values=as_pixels(part)).logits for part in parts])


def plain_scenes(rng: np.random.Generator) -> tuple[list[Scene], list[Scene]]:
    """Every concept once, and pairs of core concepts, on plain grounds without style."""
    colours = list(COLOURS)

    def scene(names: list[str]) -> Scene:
        return compose(rng, names, colour=colours[int(rng.integers(len(colours)))], ground="plain")

    pairs = [scene([str(n) for n in rng.choice(CORE, 2, replace=False)]) for _ in range(PAIRS)]
    return [scene([concept.name]) for concept in VOCABULARY], pairs


def judge_of(tagger: Path) -> Judge:
    """A judge with the tagger stored there; it says nothing while there is none (it may train at the same time)."""

    def judge(pipe: StableDiffusionPipeline) -> dict[str, float]:
        if not (tagger / "config.json").exists():
            return {}
        return _figures(pipe, tagger)

    return judge


def _figures(pipe: StableDiffusionPipeline, tagger: Path) -> dict[str, float]:
    from transformers import AutoModelForImageClassification

    model = AutoModelForImageClassification.from_pretrained(tagger, local_files_only=True, dtype=torch.float32).eval()
    rng = np.random.default_rng(90_006)
    singles, pairs = plain_scenes(rng)
    prompts = [caption(scene, rng, typos=0.0, drop=0.0) for scene in singles + pairs]
    logits = tag(model, generate(pipe, prompts, seed=90_006))[:, : len(VOCABULARY)]
    hits = logits[: len(singles)].argmax(1) == torch.tensor([INDEX[s.concepts[0]] for s in singles])
    core = torch.tensor([concept.core for concept in VOCABULARY])
    best = logits[len(singles) :].topk(2, dim=1).indices.tolist()
    shares = [len({INDEX[n] for n in s.concepts} & set(two)) / 2 for s, two in zip(pairs, best, strict=True)]
    return {
        "top1_all": float(hits.float().mean()),
        "top1_core": float(hits[core].float().mean()),
        "core_pair_recall": float(np.mean(shares)),
    }
