"""Published heads as tensors, from files that cannot run code: safetensors, .npy, and torch's .pt read with `weights_only`."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from schemas.errors import InputError

SUFFIXES = (".safetensors", ".npy", ".pt", ".pth")
ONLY = "tensor"  # the name of a .npy file's one array


def state_of(file: Path) -> dict[str, Tensor]:
    """float32 tensors by name. Raises InputError for a missing file, a plain pickle, and what is not tensors by name."""
    if not file.is_file():
        raise InputError(f"{file}: no such weights")
    if file.suffix not in SUFFIXES:
        raise InputError(
            f"{file}: expected one of {', '.join(SUFFIXES)}. A pickle can run code: convert it once where you trust it, "
            "numpy.save('prompts.npy', pickle.load(open('prompts.p', 'rb')))"
        )
    try:
        state = _read(file)
    except (ValueError, OSError, RuntimeError) as error:
        raise InputError(f"{file}: damaged ({error})") from error
    except Exception as error:  # torch raises pickle.UnpicklingError for what is more than tensors
        raise InputError(f"{file}: it holds more than tensors, so it is not loaded ({type(error).__name__})") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{file}: expected tensors by name, a state dict")
    return {str(name): value.float() if value.is_floating_point() else value for name, value in state.items()}


def _read(file: Path) -> object:
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(file)
    if file.suffix == ".npy":
        return {ONLY: torch.from_numpy(np.load(file, allow_pickle=False))}
    return torch.load(file, map_location="cpu", weights_only=True)


def wanted(state: dict[str, Tensor], shapes: dict[str, tuple[int, ...]], file: Path) -> dict[str, Tensor]:
    """Exactly these tensors. Raises InputError naming what differs."""
    actual = {name: tuple(value.shape) for name, value in state.items()}
    if actual != shapes:
        raise InputError(f"{file}: it has {actual}; expected {shapes}")
    return state
