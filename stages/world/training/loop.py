"""The loop that all trainings share: seeded steps, a budget that anneals the rate, kill-safe checkpoints, a curve.

The randomness of step `s` on rank `r` is a function of (seed, s, r) alone, so a run that is killed and started again
draws what the uninterrupted one would have drawn.
"""

from __future__ import annotations

import copy
import json
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from stages.world.training.process_group import Group

CHECKPOINT_SECONDS = float(os.environ.get("HAZMAT_CHECKPOINT_SECONDS", "60"))  # a kill costs at most this; tests: less
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


def checkpoint_path(work: Path, name: str) -> Path:
    """Where the training `name` keeps its state."""
    return work / name / "checkpoint.pt"


def start_path(work: Path, name: str) -> Path:
    """Where `committed.adopt` lays the weights that the training `name` begins from; mostly there is none."""
    return work / name / "start.pt"


def save_atomically(state: Any, path: Path) -> None:
    """Write beside the goal and rename, so that a kill leaves the old file or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def averaged_weights(work: Path, name: str) -> dict[str, Tensor]:
    """The averaged weights in the last checkpoint of `name`, or those it is to start from; FileNotFoundError without both."""
    path, start = checkpoint_path(work, name), start_path(work, name)
    if not path.exists() and start.exists():
        adopted: dict[str, Tensor] = torch.load(start, map_location="cpu")
        return adopted
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run `jobs/world.py train` for the part that makes {name!r} first")
    weights: dict[str, Tensor] = torch.load(path, map_location="cpu")["average"]
    return weights


def begin_from(module: nn.Module, weights: dict[str, Tensor]) -> None:
    """Load weights that may lack whole children or grandchildren of `module` (heads that training throws away, a tower that
    was trained before); raises ValueError where anything else does not fit."""
    missing, unexpected = module.load_state_dict(weights, strict=False)
    present = {tuple(key.split(".")[:2]) for key in weights}
    if torn := unexpected + [key for key in missing if tuple(key.split(".")[:2]) in present]:
        raise ValueError(f"the weights to start from do not fit {type(module).__name__}: {torn[:5]}")


class _Run:
    """One training on one process: weights, their average, the optimiser, the progress."""

    def __init__(self, training: Training, budget: Budget, work: Path, seed: int, group: Group) -> None:
        self.training, self.budget, self.work, self.seed, self.group = training, budget, work, seed, group
        self.path, start = checkpoint_path(work, training.name), start_path(work, training.name)
        if start.exists():
            begin_from(training.module, torch.load(start, map_location="cpu"))
        self.module = training.module.to(group.device)
        self.average = copy.deepcopy(self.module).requires_grad_(False)
        trained = [p for p in self.module.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=training.peak_rate, betas=(0.9, 0.99), weight_decay=0.01)
        self.progress = Progress()
        if self.path.exists():
            self._restore()

    def _restore(self) -> None:
        state = torch.load(self.path, map_location=self.group.device)
        self.module.load_state_dict(state["module"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.progress = Progress(**state["progress"])

    def save(self) -> None:
        state = {
            "module": self.module.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "progress": vars(self.progress),
        }
        if self.group.rank == 0:
            save_atomically(state, self.path)

    def step(self, fraction: float) -> dict[str, Tensor]:
        rng = np.random.default_rng([self.seed, self.progress.step, self.group.rank])
        torch.manual_seed(int(rng.integers(2**62)))
        rate = learning_rate(self.training.peak_rate, self.training.hold, fraction, self.progress.step)
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = rate
        losses = self.training.loss(rng, fraction)
        self.optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()  # type: ignore[no-untyped-call]
        self.group.average_gradients(self.module)
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
        self.optimizer.step()
        self._follow()
        self.progress.step += 1
        self.progress.samples += self.training.batch * self.group.size
        return {name: value.detach() for name, value in losses.items()}

    def _follow(self) -> None:
        decay = min(EMA_DECAY, (1 + self.progress.step) / (10 + self.progress.step))
        with torch.no_grad():
            ours: list[Tensor] = list(self.average.parameters())
            theirs: list[Tensor] = list(self.module.parameters())
            torch._foreach_lerp_(ours, theirs, 1.0 - decay)
            for kept, seen in zip(self.average.buffers(), self.module.buffers(), strict=True):
                kept.copy_(seen)

    def report(self, losses: dict[str, float], fraction: float, measure: bool) -> None:
        if self.group.rank != 0:
            return
        row: dict[str, float] = {**vars(self.progress), "fraction": fraction, **losses}
        if measure:
            row.update(self.training.measure(self.average.eval()))
        with (self.path.parent / "curve.jsonl").open("a", encoding="utf-8") as curve:
            curve.write(json.dumps({k: round(float(v), 5) for k, v in row.items()}) + "\n")


def fit(
    training: Training, budget: Budget, work: Path, seed: int, group: Group, *, report_every: int = 100
) -> nn.Module:
    """Train until the budget is used, going on from a checkpoint if there is one; returns the averaged module.

    `curve.jsonl` beside the checkpoint gets a row every `report_every` steps and held-out figures every tenth of those.
    """
    run = _Run(training, budget, work, seed, group)
    run.path.parent.mkdir(parents=True, exist_ok=True)
    before, started, saved = run.progress.seconds, time.monotonic(), time.monotonic()
    parent = os.getppid()
    sums: dict[str, float] = {}
    summed = 0  # steps since the last report or the resumption
    while True:
        run.progress.seconds = before + time.monotonic() - started
        fraction = group.agree(budget.fraction(run.progress.seconds, run.progress.samples))
        if fraction >= 1.0:
            break
        if group.size > 1 and os.getppid() != parent:
            raise SystemExit("the process that started this group is gone")
        for name, value in run.step(fraction).items():
            sums[name] = sums.get(name, 0.0) + float(value)
        summed += 1
        if run.progress.step % report_every == 0:
            means = {name: total / summed for name, total in sums.items()}
            run.report(means, fraction, measure=run.progress.step % (10 * report_every) == 0)
            sums, summed = {}, 0
        if time.monotonic() - saved > CHECKPOINT_SECONDS:
            run.save()
            saved = time.monotonic()
    run.save()
    run.report({}, 1.0, measure=True)
    return run.average.eval()
