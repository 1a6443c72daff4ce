"""Scenes drawn and encoded once, kept on disk, visited many times with captions drawn anew."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.training.process_group import ProcessGroup
from stages.world.scene import Scene
from stages.world.training.loop import averaged_weights
from stages.world.training.scene_batches import SceneMixture, as_pixels, render, sample_scene
from stages.world.training.vae import build

CALM = 0.4  # places and angles vary less than in the renderer's scenes: the U-Net's few samples go into looks
EASY = SceneMixture(pairs=0.0, twins=0.0, plain=1.0, normal=1.0, clutter=0.0, core=1.6, calm=CALM)
SINGLES = SceneMixture(pairs=0.0, twins=0.06, plain=0.35, normal=0.5, clutter=0.08, core=2.0, calm=CALM)
PAIRS = SceneMixture(pairs=1.0, plain=0.5, normal=0.65, clutter=0.05, core=6.0, calm=CALM)
TRIPLES = SceneMixture(triples=1.0, plain=0.5, normal=0.65, clutter=0.05, core=3.0, calm=CALM)


@dataclass(frozen=True)
class Pool:
    """Scenes of one mixture. `early` and `late`: its share of the samples at the start and from `_LATE_FROM` on."""

    mixture: SceneMixture
    scenes: int
    early: float
    late: float


POOLS = (
    Pool(EASY, 16_000, early=0.70, late=0.14),
    Pool(SINGLES, 22_000, early=0.05, late=0.34),
    Pool(PAIRS, 30_000, early=0.25, late=0.48),
    Pool(TRIPLES, 3_000, early=0.0, late=0.04),
)
_LATE_FROM = 0.45  # of the budget


@dataclass
class LatentScenes:
    """Encoded scenes: float16 latents [N, 4, 16, 16], their scenes, and where each pool starts."""

    latents: Tensor
    scenes: list[Scene]
    starts: list[int]
    early: bool = True  # begin with the early shares; a warm start knows the easy scenes

    def pick(self, rng: np.random.Generator, count: int, fraction: float) -> list[int]:
        """Indices of scenes; the shares of the pools move from early to late until `_LATE_FROM`."""
        progress = min(1.0, fraction / _LATE_FROM) if self.early else 1.0
        shares = np.array([pool.early + (pool.late - pool.early) * progress for pool in POOLS])
        pools = rng.choice(len(POOLS), count, p=shares / shares.sum())
        ends = [*self.starts[1:], len(self.scenes)]
        return [int(rng.integers(self.starts[pool], ends[pool])) for pool in pools]


def latent_scale(work: Path) -> float:
    """`scaling_factor`: 1 / the latents' deviation over 512 fixed scenes, the same in every process."""
    rng = np.random.default_rng(90_005)
    latents = _encode([sample_scene(rng, SINGLES) for _ in range(512)], work, torch.device("cpu"))
    return round(1.0 / float(latents.float().std()), 4)


@torch.no_grad()
def _encode(scenes: list[Scene], work: Path, device: torch.device) -> Tensor:
    vae = build()
    vae.load_state_dict(averaged_weights(work, "vae"))
    vae = vae.eval().to(device)
    parts = [
        vae.encoder(as_pixels(render(scenes[start : start + 64])).to(device)).half().cpu()
        for start in range(0, len(scenes), 64)
    ]
    return torch.cat(parts)


def prepare(work: Path, seed: int, group: ProcessGroup, *, share: float = 1.0) -> LatentScenes:
    """This process's part of the pools: from the cache, or drawn and encoded now. `share` < 1 for small trials."""
    path = work / "t2i" / f"latents-{seed}-{group.rank}of{group.size}-{share:g}.npz"
    rng = np.random.default_rng([seed, 7, group.rank])
    counts = [max(8, round(pool.scenes * share / group.size)) for pool in POOLS]
    starts = [sum(counts[:i]) for i in range(len(counts))]
    if path.exists():
        stored: Any = np.load(path, allow_pickle=False)
        scenes = [Scene.from_json(text) for text in json.loads(str(stored["scenes"]))]
        return LatentScenes(torch.from_numpy(stored["latents"]), scenes, starts)
    scenes = [sample_scene(rng, pool.mixture) for pool, n in zip(POOLS, counts, strict=True) for _ in range(n)]
    latents = _encode(scenes, work, group.device)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, latents=latents.numpy(), scenes=np.array(json.dumps([s.to_json() for s in scenes])))
    partial.replace(path)
    return LatentScenes(latents, scenes, starts)
