"""Where a training stands, kept so that a killed one goes on to the very weights that it would have had."""

import io
import os
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.storage.store import Store

SECONDS = float(os.environ.get("HAZMAT_CHECKPOINT_SECONDS", "60"))  # a kill costs at most this; tests: less


@dataclass
class State:
    """`step` of `epoch` is the next to take. `best` are the weights of the least validation loss."""

    epoch: int = 0
    step: int = 0
    taken: int = 0  # steps in all
    best_loss: float = float("inf")
    best_epoch: int = -1
    best: dict[str, Tensor] = field(default_factory=dict)
    finished: bool = False
    log: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Checkpoint:
    """`name` in the store holds one training's state; one of another training (`fingerprint`) counts as none."""

    store: Store
    name: str
    fingerprint: str

    def save(self, state: State, model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        """Whole or not at all."""
        buffer = io.BytesIO()
        torch.save(
            {
                "fingerprint": self.fingerprint,
                "threads": torch.get_num_threads(),
                "state": vars(state),
                "weights": trained_weights(model),
                "optimiser": optimiser.state_dict(),
            },
            buffer,
        )
        self.store.write(self.name, buffer.getvalue())

    def restore(self, model: nn.Module, optimiser: torch.optim.Optimizer) -> State:
        """Put weights and optimiser back and say where it stands; a new state where there is nothing to go on from."""
        found = self._found()
        if found is None:
            return State()
        load_weights(model, found["weights"])
        optimiser.load_state_dict(found["optimiser"])
        return State(**found["state"])

    def restore_threads(self) -> None:
        """Compute with as many threads as before: the last bits of a sum depend on them. Call it before anything is computed."""
        if found := self._found():
            torch.set_num_threads(found.get("threads", torch.get_num_threads()))  # a checkpoint of before has none

    def _found(self) -> dict[str, Any] | None:
        data = self.store.read(self.name)
        if data is None:
            return None
        found: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        return found if found["fingerprint"] == self.fingerprint else None

    def remove(self) -> None:
        """It is no longer needed."""
        self.store.delete(self.name)


def trained_weights(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the parameters that are trained and of all buffers, on the CPU."""
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    return {name: value.detach().cpu().clone() for name, value in {**trained, **dict(model.named_buffers())}.items()}


def load_weights(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """What `trained_weights` took."""
    with torch.no_grad():
        mine = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        for name, value in weights.items():
            mine[name].copy_(value)
