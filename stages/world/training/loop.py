"""How the world's parts are trained: seeded steps until a budget is used, which anneals the rate; averaged weights, a curve.

The randomness of step `s` on rank `r` is a function of (seed, s, r) alone, so a run that is killed and started again
draws what the uninterrupted one would have drawn.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from pipeline.storage.local_store import LocalStore
from pipeline.training.checkpoint import Checkpoint, packed
from pipeline.training.loop import MovingAverage, TrainingLoop, part_of
from pipeline.training.process_group import ProcessGroup

EMA_DECAY = 0.998  # averages over ~500 steps; the annealed end of the rate does the rest


@dataclass(frozen=True)
class Budget:
    """How long to train: wall minutes (accumulated over restarts) or samples (reproducible)."""

    minutes: float | None = None
    samples: int | None = None

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.samples is None):
            raise ValueError("a budget is either --minutes or --samples; give exactly one of them")

    def fraction(self, seconds: float, samples: int) -> float:
        """The part of the budget that is used, in [0, 1]."""
        used = seconds / (60.0 * self.minutes) if self.minutes is not None else samples / (self.samples or 1)
        return min(1.0, used)


class Training(Protocol):
    """What a part of the world brings to the loop."""

    name: str
    batch: int  # samples a step and process
    peak_rate: float
    hold: float  # fraction of the budget before the rate falls
    module: nn.Module

    def loss(self, rng: np.random.Generator, fraction: float) -> dict[str, Tensor]:
        """Scalars of one batch; the one named `loss` is minimised."""
        ...

    def measure(self, module: nn.Module) -> dict[str, float]:
        """Held-out figures of the averaged weights."""
        ...


@dataclass
class Progress:
    """Where a training stands; everything a checkpoint needs beside weights."""

    step: int = 0
    samples: int = 0
    seconds: float = 0.0


def learning_rate(peak: float, hold: float, fraction: float, step: int) -> float:
    """Linear warm-up over 100 steps, held, then a half cosine that ends at 0 with the budget."""
    fall = max(0.0, (fraction - hold) / (1.0 - hold))
    return peak * min(1.0, (step + 1) / 100) * 0.5 * (1.0 + math.cos(math.pi * fall))


def start_path(work: Path, name: str) -> Path:
    """Where `warm_start.adopt` lays the weights that the training `name` begins from; mostly there is none."""
    return work / name / "start.safetensors"


def save_start(weights: dict[str, Tensor], work: Path, name: str) -> None:
    """Lay weights ready for the training `name`, whole or not at all."""
    path = start_path(work, name)
    LocalStore(path.parent.absolute()).write(path.name, packed(weights))


def progress_of(work: Path, name: str) -> Progress | None:
    """How far the training `name` is; None where there is no checkpoint."""
    state = Checkpoint.in_folder(work / name).read()
    return None if state is None else Progress(**state[0]["state"])


def averaged_weights(work: Path, name: str) -> dict[str, Tensor]:
    """The averaged weights in the last checkpoint of `name`, or those it is to start from; FileNotFoundError without both."""
    start = start_path(work, name)
    if state := Checkpoint.in_folder(work / name).read():
        return part_of(state[1], "average")
    if not start.exists():
        raise FileNotFoundError(
            f"{work / name} has no checkpoint: run `jobs/world.py train` for the part that makes {name!r} first"
        )
    adopted: dict[str, Tensor] = load_file(start)
    return adopted


def begin_from(module: nn.Module, weights: dict[str, Tensor]) -> None:
    """Load weights that may lack whole children or grandchildren of `module` (heads that training throws away, a tower that
    was trained before); raises ValueError where anything else does not fit."""
    missing, unexpected = module.load_state_dict(weights, strict=False)
    present = {tuple(key.split(".")[:2]) for key in weights}
    if torn := unexpected + [key for key in missing if tuple(key.split(".")[:2]) in present]:
        raise ValueError(f"the weights to start from do not fit {type(module).__name__}: {torn[:5]}")


@dataclass
class _Run:
    """One training on one process: its loop, how far it is, and the curve."""

    training: Training
    budget: Budget
    folder: Path
    seed: int
    group: ProcessGroup

    def __post_init__(self) -> None:
        start = start_path(self.folder.parent, self.training.name)
        if start.exists():
            begin_from(self.training.module, load_file(start))
        module = self.training.module.to(self.group.device)
        trained = [p for p in module.parameters() if p.requires_grad]
        self.average = MovingAverage(module, EMA_DECAY)
        self.loop = TrainingLoop(
            module=module,
            optimizer=torch.optim.AdamW(trained, lr=self.training.peak_rate, betas=(0.9, 0.99), weight_decay=0.01),
            losses=self._losses,
            rate=lambda peak, step, fraction: learning_rate(peak, self.training.hold, fraction, step),
            group=self.group,
            checkpoint=Checkpoint.in_folder(self.folder),
            average=self.average,
            largest_gradient=1.0,
        )
        state = self.loop.restore()
        self.progress = Progress() if state is None else Progress(**state[0])

    def _losses(self, step: int, fraction: float) -> Mapping[str, Tensor]:
        rng = np.random.default_rng([self.seed, step, self.group.rank])
        torch.manual_seed(int(rng.integers(2**62)))
        return self.training.loss(rng, fraction)

    def fractions(self) -> Iterator[float]:
        """The used part of the budget before each step that it pays for, the same in every process."""
        before, started, parent = self.progress.seconds, time.monotonic(), os.getppid()
        while True:
            self.progress.seconds = before + time.monotonic() - started
            fraction = self.group.agree(self.budget.fraction(self.progress.seconds, self.progress.samples))
            if fraction >= 1.0:
                return
            if self.group.size > 1 and os.getppid() != parent:
                raise SystemExit("the process that started this group is gone")
            yield fraction

    def report(self, losses: dict[str, float], fraction: float, measure: bool) -> None:
        """A row of the curve."""
        if not self.group.is_main_process:
            return
        row: dict[str, float] = {**vars(self.progress), "fraction": fraction, **losses}
        if measure:
            row.update(self.training.measure(self.average.module.eval()))
        with (self.folder / "curve.jsonl").open("a", encoding="utf-8") as curve:
            curve.write(json.dumps({k: round(float(v), 5) for k, v in row.items()}) + "\n")


def fit(
    training: Training, budget: Budget, work: Path, seed: int, group: ProcessGroup, *, report_every: int = 100
) -> nn.Module:
    """Train until the budget is used, going on from a checkpoint if there is one; returns the averaged module.

    `curve.jsonl` beside the checkpoint gets a row every `report_every` steps and held-out figures every tenth of those.
    """
    (work / training.name).mkdir(parents=True, exist_ok=True)
    run = _Run(training, budget, work / training.name, seed, group)
    progress = run.progress
    sums: dict[str, float] = {}
    summed = 0  # steps since the last report or the resumption
    for fraction, losses in run.loop.run(run.fractions(), lambda: (vars(progress), {})):
        progress.step, progress.samples = run.loop.step, progress.samples + training.batch * group.size
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + value
        summed += 1
        if progress.step % report_every == 0:
            means = {name: total / summed for name, total in sums.items()}
            run.report(means, fraction, measure=progress.step % (10 * report_every) == 0)
            sums, summed = {}, 0
    run.loop.save(lambda: (vars(progress), {}))
    run.report({}, 1.0, measure=True)
    return run.average.module.eval()
