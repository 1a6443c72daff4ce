"""The workers that train together: one in this process, or several that average their gradients (gloo on CPUs, NCCL on GPUs)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Group:
    """The place of this process; a group of more than one has joined `torch.distributed` already."""

    rank: int = 0
    size: int = 1
    device: torch.device = CPU

    @property
    def is_main_process(self) -> bool:
        """Whether this is the worker that writes."""
        return self.rank == 0

    def share(self, rows: Any) -> Any:
        """Every `size`-th row, so that all workers have as many; the rest of a last, short step is nobody's."""
        even = len(rows) - len(rows) % self.size
        return rows[self.rank : even : self.size]

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its mean over the workers, in one message; what no row of ours reached counts as zero."""
        if self.size == 1:
            return
        trained = list(parameters)
        for parameter in trained:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in trained if parameter.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.size
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, mean in zip(gradients, torch.split(flat, sizes), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def total(self, values: Tensor) -> Tensor:
        """The sum over the workers, float64."""
        values = values.to(torch.float64)
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def wait(self) -> None:
        """Until all workers are here."""
        if self.size > 1:
            dist.barrier()
