"""How the zoo's heads learn from vectors that were computed once."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.training.loop import TrainingLoop
from schemas.errors import InputError


@dataclass(frozen=True, eq=False)
class FittingSet:
    """`vectors` float32 [n, width], `unsafe` float32 [n] in {0, 1}, `categories` of the unsafe ones by name, "" of the safe."""

    vectors: Tensor
    unsafe: Tensor
    categories: tuple[str, ...]

    def named(self, claims: Iterable[str]) -> Tensor:
        """float32 [n]: 1 where the row is unsafe in one of these categories."""
        chosen = set(claims)
        return (
            torch.tensor([float(name in chosen) for name in self.categories], device=self.unsafe.device) * self.unsafe
        )


@dataclass(frozen=True)
class FittingSchedule:
    """Adam; defaults are appendix A.5's for probes: 30 epochs of 128 rows at 2e-4."""

    epochs: int = 30
    batch: int = 128
    rate: float = 2e-4
    seed: int = 0


def descend(module: nn.Module, loss: Callable[[Tensor], Tensor], rows: int, schedule: FittingSchedule) -> None:
    """Minimise `loss(row numbers)` over the module's free parameters; the module ends in eval mode. Seeded.

    A last batch of one row is left out: batch norm has no variance there.
    """
    torch.manual_seed(schedule.seed)  # dropout
    order = torch.Generator().manual_seed(schedule.seed)
    trained = [p for p in module.parameters() if p.requires_grad]
    loop: TrainingLoop[Tensor] = TrainingLoop(
        module=module,
        optimizer=torch.optim.Adam(trained, schedule.rate),
        losses=lambda _, part: {"loss": loss(part)},
    )
    module.train()
    for _ in range(schedule.epochs):
        parts = torch.split(torch.randperm(rows, generator=order), schedule.batch)
        for _ in loop.run(part for part in parts if len(part) > 1):
            pass
    module.eval()


def balance(labels: Tensor, name: str) -> Tensor:
    """The weight of an unsafe row that makes both classes count alike. Raises InputError unless both are there."""
    unsafe = float(labels.sum())
    if not 0 < unsafe < len(labels):
        raise InputError(f"{name}: {len(labels)} rows to learn from, {unsafe:.0f} of them unsafe; it needs both kinds")
    return torch.tensor((len(labels) - unsafe) / unsafe, device=labels.device)
