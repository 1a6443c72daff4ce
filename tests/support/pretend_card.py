"""A card that is not there: tensors on the device `CARD` compute on the CPU, and meet tensors of the CPU nowhere, as on a real one.

Whoever leaves a model, a table or a mask on the CPU, or takes an array of what lies on the card, gets an error as from a card.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

CARD = torch.device(
    "meta", 0
)  # of the kinds that torch names, the one that autograd works on everywhere; libraries say it without a number
ACROSS = {torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default}
"""Operators that take tensors of two devices."""
INDEXING = {
    torch.ops.aten.index.Tensor,
    torch.ops.aten.index_put_.default,
    torch.ops.aten.index_put.default,
    torch.ops.aten._index_put_impl_.default,
}
"""Operators whose indices may lie on the CPU."""


class OnCard(torch.Tensor):
    """`held` is where its numbers really are."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> "OnCard":
        with torch.inference_mode(False):  # a wrapper keeps count of versions
            made = torch.Tensor._make_wrapper_subclass(
                cls,
                held.size(),
                strides=held.stride(),
                storage_offset=held.storage_offset(),
                dtype=held.dtype,
                device=CARD,
                requires_grad=held.requires_grad,
            )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(func, args, kwargs or {})

    def tolist(self) -> Any:
        return self.held.tolist()

    def item(self) -> Any:
        return self.held.item()

    def __bool__(self) -> bool:
        return bool(self.held)

    def __int__(self) -> int:
        return int(self.held)

    def __float__(self) -> float:
        return float(self.held)

    def __index__(self) -> int:
        return self.held.__index__()

    def numpy(self, *_: Any, **__: Any) -> Any:
        raise TypeError("a tensor of a card is no array; copy it to the CPU first")

    __array__ = numpy

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"OnCard({self.held!r})"


def computed(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """What an operator gives. Raises RuntimeError where tensors of the card meet others."""
    tensors = [each for each in tree_flatten((args, kwargs))[0] if isinstance(each, torch.Tensor)]
    there = [each for each in tensors if isinstance(each, OnCard)]
    asked = kwargs.get("device")
    strangers = [each for each in tensors if not isinstance(each, OnCard) and each.ndim]
    if there and strangers and func not in ACROSS and not (func in INDEXING and isinstance(args[0], OnCard)):
        raise RuntimeError(f"{func}: all tensors are expected on one device, and {len(strangers)} lie on the CPU")
    if func is torch.ops.aten.copy_.default:
        _held(args[0]).copy_(_held(args[1]))
        return args[0]
    on_card = torch.device(asked) == CARD if asked is not None else bool(there)
    named = {
        name: torch.device("cpu") if name == "device" and value == CARD else value for name, value in kwargs.items()
    }
    given = func(*tree_map(_held, args), **tree_map(_held, named))
    if not on_card or not isinstance(given, torch.Tensor | tuple | list):
        return given
    same = {id(each.held): each for each in there}
    return tree_map(lambda each: same.get(id(each), OnCard(each)) if isinstance(each, torch.Tensor) else each, given)


def _held(value: Any) -> Any:
    return value.held if isinstance(value, OnCard) else value


class _Card(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(func, args, kwargs or {})


class _Made(TorchFunctionMode):
    """What is made of numbers, which torch does not even read for a device of this kind."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in (torch.tensor, torch.as_tensor) and kwargs.get("device") == CARD:
            return func(*args, **{**kwargs, "device": "cpu"}).to(CARD)
        if func in (torch.Tensor.__getitem__, torch.Tensor.__setitem__):  # a list becomes a table on the device
            args = (args[0], _tables(args[1]), *args[2:])
        return func(*args, **kwargs)


def _tables(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(map(_tables, index))
    return torch.tensor(index) if isinstance(index, list) else index


@contextmanager
def pretend_card() -> Iterator[torch.device]:
    """Whoever asks torch for an accelerator gets `CARD`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.accelerator, "is_available", lambda: True)
        patch.setattr(torch.accelerator, "current_accelerator", lambda *_, **__: CARD)
        patch.setattr(torch, CARD.type, SimpleNamespace(empty_cache=lambda: None), raising=False)
        with _Made(), _Card():
            yield CARD
