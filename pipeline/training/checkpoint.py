"""Where a training stands, kept so that a killed one goes on to the very weights that it would have had.

One safetensors file: tensors, and as JSON in its header what is none. Reading it runs nothing; it is there whole or not at all.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from pipeline.storage.local_store import LocalStore
from pipeline.storage.store import Store
from schemas.errors import InputError

SECONDS = float(os.environ.get("HAZMAT_CHECKPOINT_SECONDS", "60"))  # a kill costs at most this; tests: less
Facts = dict[str, Any]
Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """`name` in the store holds one training's state; one of another training (`fingerprint`) counts as none."""

    store: Store
    name: str
    fingerprint: str = ""

    @classmethod
    def in_folder(cls, folder: Path) -> "Checkpoint":
        """That of a training with a folder of its own."""
        return cls(LocalStore(folder.absolute()), "checkpoint.safetensors")

    def write(self, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """`facts` are what JSON can say; tensors may share memory."""
        about = {**facts, "fingerprint": self.fingerprint, "threads": torch.get_num_threads()}
        self.store.write(self.name, packed(tensors, about))

    def read(self) -> tuple[Facts, Tensors] | None:
        """What was written, on the CPU. Raises InputError for a file that is no checkpoint."""
        data = self.store.read(self.name)
        if data is None:
            return None
        try:
            tensors = load(data)
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
            facts: Facts = json.loads(header["__metadata__"]["facts"])
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{self.store.url}/{self.name} is no checkpoint ({error}); remove it, and the training begins anew"
            ) from error
        return (facts, tensors) if facts["fingerprint"] == self.fingerprint else None

    def restore_threads(self) -> None:
        """Compute with as many threads as before: the last bits of a sum depend on them. Call it before anything is computed."""
        if state := self.read():
            torch.set_num_threads(state[0]["threads"])

    def remove(self) -> None:
        """It is no longer needed; nor is one that was pickled, as they were before."""
        for name in (self.name, f"{self.name.removesuffix('.safetensors')}.pt"):
            self.store.delete(name)


def packed(tensors: Mapping[str, Tensor], facts: Mapping[str, Any] | None = None) -> bytes:
    """A safetensors file. Tensors that share memory are stored each for itself."""
    apart = {name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in tensors.items()}
    data: bytes = save(apart, {"facts": json.dumps(facts or {})})
    return data


def trained_weights(model: nn.Module) -> Tensors:
    """A copy of the parameters that are trained and of all buffers, on the CPU."""
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    return {name: value.detach().cpu().clone() for name, value in {**trained, **dict(model.named_buffers())}.items()}


def load_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """What `trained_weights` took. Raises InputError for those of another model."""
    mine = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    unfit = [name for name, value in weights.items() if name not in mine or mine[name].shape != value.shape]
    if unfit:
        raise InputError(
            f"the checkpoint is of another training: {type(model).__name__} has no {unfit[0]} of its shape"
        )
    with torch.no_grad():
        for name, value in weights.items():
            mine[name].copy_(value)


def optimizer_state(optimizer: torch.optim.Optimizer) -> tuple[list[Facts], Tensors]:
    """The groups' settings, and each parameter's moments by `NUMBER.NAME`."""
    state = optimizer.state_dict()
    moments = {f"{number}.{name}": value for number, own in state["state"].items() for name, value in own.items()}
    return state["param_groups"], moments


def load_optimizer(optimizer: torch.optim.Optimizer, groups: list[Facts], moments: Mapping[str, Tensor]) -> None:
    """What `optimizer_state` took; moments are laid out in memory as their parameters are."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in moments.items():
        number, name = key.split(".", 1)
        like = parameters[int(number)]
        laid_out = name != "step" and value.shape == like.shape
        state.setdefault(int(number), {})[name] = (
            torch.empty_like(like, dtype=value.dtype).copy_(value) if laid_out else value
        )
    betas = ({**group, "betas": tuple(group["betas"])} if "betas" in group else group for group in groups)
    optimizer.load_state_dict({"state": state, "param_groups": list(betas)})
