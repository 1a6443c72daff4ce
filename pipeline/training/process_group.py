"""The processes that train together: this one alone, or several that average their gradients (gloo on CPUs, NCCL on GPUs).

Two OpenMP threads that share a core with another program stall 15-18x (measured in the trial); one-thread processes lose only
what the other program takes. So the unit of parallelism on CPUs is always a process with one thread.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn

CPU = torch.device("cpu")
NICENESS = 5  # such trainings yield to whatever a developer runs beside them


@dataclass(frozen=True)
class ProcessGroup:
    """The place of this process; a group of more than one has joined `torch.distributed` already."""

    rank: int = 0
    size: int = 1
    device: torch.device = CPU

    @classmethod
    def alone(cls) -> Self:
        """One process, on an accelerator where there is one."""
        found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        return cls(device=found or CPU)

    @property
    def is_main_process(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def share(self, rows: Any) -> Any:
        """Every `size`-th row, so that all processes have as many; the rest of a last, short step is nobody's."""
        even = len(rows) - len(rows) % self.size
        return rows[self.rank : even : self.size]

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace every gradient by its mean over the group, in one message.

        A parameter that only other processes' rows reached has a gradient of zero here. One that no row reached keeps none, as in
        a process alone: a gradient of zero would let weight decay shrink it.
        """
        if self.size == 1:
            return
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        reached = gradients[0].new_tensor([p.grad is not None for p in parameters])
        flat = torch.cat([*(gradient.reshape(-1) for gradient in gradients), reached])
        dist.all_reduce(flat)
        *means, reached = torch.split(flat / self.size, [*(each.numel() for each in gradients), len(reached)])
        for parameter, gradient, mean, share in zip(parameters, gradients, means, reached.tolist(), strict=True):
            parameter.grad = gradient.copy_(mean.view_as(gradient)) if share else None

    def total(self, values: Tensor) -> Tensor:
        """The sum over the processes, float64."""
        values = values.to(torch.float64)
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def agree(self, value: float) -> float:
        """The value that rank 0 holds: clocks differ between processes, learning rates must not."""
        if self.size == 1:
            return value
        message = torch.tensor([value], dtype=torch.float64, device=self.device)
        dist.broadcast(message, src=0)
        return float(message)

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            dist.barrier()


def settle() -> None:
    """Make this process a quiet neighbour: one thread, low priority."""
    torch.set_num_threads(1)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.nice(max(0, NICENESS - os.nice(0)))


def _member(rank: int, work: Callable[[ProcessGroup], None], size: int, rendezvous: str) -> None:
    os.setsid()  # Linux shares cores by session (autogroup): together, two processes would get the share of one
    settle()
    # Ranks checkpoint and measure at different times; half an hour covers the slowest measurement on a busy machine.
    dist.init_process_group(
        "gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=size, timeout=timedelta(minutes=30)
    )
    try:
        work(ProcessGroup(rank, size))
    finally:
        dist.destroy_process_group()


def run_in_group(work: Callable[[ProcessGroup], None], processes: int, directory: Path) -> None:
    """Call `work` (a picklable function) in every process of a group; raises if one of them fails."""
    if processes == 1 or torch.cuda.is_available():
        settle()
        work(ProcessGroup.alone())
        return
    directory.mkdir(parents=True, exist_ok=True)
    rendezvous = directory.resolve() / "rendezvous"
    rendezvous.unlink(missing_ok=True)  # left by a killed run; gloo would wait for ranks that are gone
    spawn(_member, args=(work, processes, str(rendezvous)), nprocs=processes, join=True)  # type: ignore[no-untyped-call]
