"""Several one-thread processes that average their gradients over gloo, or one process on an accelerator.

Two OpenMP threads that share a core with another program stall 15-18x (measured in the trial); one-thread processes
lose only what the other program takes. So the unit of parallelism here is always a process with one thread.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.multiprocessing.spawn import spawn

NICENESS = 5  # the trainings yield to whatever a developer runs beside them


@dataclass(frozen=True)
class Group:
    """The place of this process among those that train together."""

    rank: int = 0
    size: int = 1

    @property
    def device(self) -> torch.device:
        """An accelerator where there is one (then a single process uses it), else the CPU."""
        return torch.device("cuda" if torch.cuda.is_available() and self.size == 1 else "cpu")

    def average_gradients(self, module: nn.Module) -> None:
        """Replace every gradient of `module` by its mean over the group, in one message."""
        if self.size == 1:
            return
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        flat = torch.cat([g.reshape(-1) for g in gradients])
        dist.all_reduce(flat)
        flat /= self.size
        offset = 0
        for gradient in gradients:
            gradient.copy_(flat[offset : offset + gradient.numel()].view_as(gradient))
            offset += gradient.numel()

    def agree(self, value: float) -> float:
        """The value that rank 0 holds: clocks differ between processes, learning rates must not."""
        if self.size == 1:
            return value
        message = torch.tensor([value], dtype=torch.float64)
        dist.broadcast(message, src=0)
        return float(message)


def settle() -> None:
    """Make this process a quiet neighbour: one thread, low priority."""
    torch.set_num_threads(1)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.nice(max(0, NICENESS - os.nice(0)))


def _member(rank: int, work: Callable[[Group], None], size: int, rendezvous: str) -> None:
    os.setsid()  # Linux shares cores by session (autogroup): together, two processes would get the share of one
    settle()
    # Ranks checkpoint and measure at different times; half an hour covers the slowest measurement on a busy machine.
    dist.init_process_group(
        "gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=size, timeout=timedelta(minutes=30)
    )
    try:
        work(Group(rank, size))
    finally:
        dist.destroy_process_group()


def run_in_group(work: Callable[[Group], None], processes: int, directory: Path) -> None:
    """Call `work` (a picklable function) in every process of a group; raises if one of them fails."""
    if processes == 1 or torch.cuda.is_available():
        settle()
        work(Group())
        return
    directory.mkdir(parents=True, exist_ok=True)
    rendezvous = directory.resolve() / "rendezvous"
    rendezvous.unlink(missing_ok=True)  # left by a killed run; gloo would wait for ranks that are gone
    spawn(_member, args=(work, processes, str(rendezvous)), nprocs=processes, join=True)  # type: ignore[no-untyped-call]
