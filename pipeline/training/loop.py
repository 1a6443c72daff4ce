"""The one training loop: batches in, steps of an optimiser, and a state that a kill does not lose.

What differs between trainings is the step's losses and what batches there are; schedule, averaged weights, precision, the group and
the checkpoint are options. A step's losses are to be a function of the weights, its number and its batch alone (`seed_all`), so
that a training that was killed and started again takes the very steps of one that was not.
"""

import copy
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from pipeline.training import checkpoint
from pipeline.training.checkpoint import Checkpoint, Facts, Tensors
from pipeline.training.process_group import ProcessGroup

Rows = TypeVar("Rows")
State = Callable[[], tuple[Facts, Tensors]]


class MovingAverage:
    """The exponential average of a module's weights; `decay` 0.998 is over about 500 steps. Buffers are the last ones."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module, self.decay = copy.deepcopy(module).requires_grad_(False), decay

    def follow(self, module: nn.Module, step: int) -> None:
        """After step `step`; the first steps count for more."""
        decay = min(self.decay, (1 + step) / (10 + step))
        with torch.no_grad():
            ours: list[Tensor] = list(self.module.parameters())
            theirs: list[Tensor] = list(module.parameters())
            torch._foreach_lerp_(ours, theirs, 1.0 - decay)
            for kept, seen in zip(self.module.buffers(), module.buffers(), strict=True):
                kept.copy_(seen)


@dataclass(kw_only=True, eq=False)
class TrainingLoop(Generic[Rows]):
    """`losses` of the step with a number and rows: scalars, of which the one named `loss` is minimised.

    `rate` gives the learning rate of a group from its first (the peak), the step and the rows; None keeps it. `largest_gradient`
    is the norm that gradients are cut to. `check` sees a step's number, gradient norm, losses and rows before the weights move, and
    raises what it does not like.
    """

    module: nn.Module
    optimizer: torch.optim.Optimizer
    losses: Callable[[int, Rows], Mapping[str, Tensor]]
    rate: Callable[[float, int, Rows], float] | None = None
    group: ProcessGroup = field(default_factory=ProcessGroup)
    checkpoint: Checkpoint | None = None
    average: MovingAverage | None = None
    precision: torch.dtype | None = None
    largest_gradient: float = float("inf")
    check: Callable[[int, Tensor, Mapping[str, Tensor], Rows], None] | None = None
    step: int = 0  # the next to take

    def __post_init__(self) -> None:
        self.trained = [p for p in self.module.parameters() if p.requires_grad]
        self.peaks = [float(group["lr"]) for group in self.optimizer.param_groups]

    def run(self, batches: Iterable[Rows], state: State = lambda: ({}, {})) -> Iterator[tuple[Rows, dict[str, float]]]:
        """Take a step for each of the batches: its rows and losses. What `state` gives is kept in the checkpoint too, now and
        then, after whoever asked has seen the step."""
        saved = time.monotonic()
        for rows in batches:
            yield rows, self._descend(rows)
            if time.monotonic() - saved > checkpoint.SECONDS:
                self.save(state)
                saved = time.monotonic()

    def _descend(self, rows: Rows) -> dict[str, float]:
        if self.rate is not None:
            for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
                group["lr"] = self.rate(peak, self.step, rows)
        losses = self.losses(self.step, rows)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(losses["loss"])
        self.group.average_gradients(self.trained)
        if self.largest_gradient < float("inf"):
            norm = torch.nn.utils.clip_grad_norm_(self.trained, self.largest_gradient)
            if self.check is not None:
                self.check(self.step, norm, losses, rows)
        self.optimizer.step()
        if self.average is not None:
            self.average.follow(self.module, self.step)
        self.step += 1
        return {name: float(value.detach()) for name, value in losses.items()}

    def autocast(self) -> Any:
        """`precision` inside, for the forward pass of `losses`; without one, everything as it is."""
        return torch.autocast(self.group.device.type, self.precision, enabled=self.precision is not None)

    def save(self, state: State = lambda: ({}, {})) -> None:
        """Where it stands, whole or not at all; by the main process alone."""
        if self.checkpoint is None or not self.group.is_main_process:
            return
        facts, tensors = state()
        groups, moments = checkpoint.optimizer_state(self.optimizer)
        parts = {"weights": checkpoint.trained_weights(self.module), "optimizer": moments, "state": tensors}
        if self.average is not None:
            parts["average"] = self.average.module.state_dict()
        named = {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}
        self.checkpoint.write({"step": self.step, "groups": groups, "state": facts}, named)

    def restore(self) -> tuple[Facts, Tensors] | None:
        """Put everything back that `save` took; its `state`, or None where there is nothing to go on from.

        Raises InputError for a checkpoint of another model.
        """
        state = None if self.checkpoint is None else self.checkpoint.read()
        if state is None:
            return None
        facts, tensors = state
        checkpoint.load_weights(self.module, part_of(tensors, "weights"))
        checkpoint.load_optimizer(self.optimizer, facts["groups"], part_of(tensors, "optimizer"))
        if self.average is not None:
            self.average.module.load_state_dict(part_of(tensors, "average"))
        self.step = facts["step"]
        return facts["state"], part_of(tensors, "state")


def part_of(tensors: Tensors, part: str) -> Tensors:
    """Those of one part of a checkpoint, by their own names."""
    return {name.removeprefix(f"{part}."): value for name, value in tensors.items() if name.startswith(f"{part}.")}


def seed_all(seed: int, device: torch.device) -> None:
    """What `torch.manual_seed` does without its look at every kind of device, which takes as long as a small head's step."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
