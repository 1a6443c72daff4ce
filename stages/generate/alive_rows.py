"""Compute only the rows of a drawing that are still wanted: the models are given these, and zeros stand for the others.

The pipeline itself goes on with whole batches and knows nothing of it, so that it works in every family of diffusers.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from stages.generate.step_hook import StepHook, denoiser_of

if TYPE_CHECKING:
    from torch import Tensor

# FLUX's positions of tokens and places: one table for all rows, which could have as many lines as there are rows.
SHARED = ("txt_ids", "img_ids")


@contextmanager
def only_alive(pipeline: Any, watch: StepHook, rows: int, count: Callable[[int], None]) -> Iterator[None]:
    """While open, only `watch.alive` of the `rows` of a batch are computed, all where it is None.

    `count` is told how many rows each call of the denoiser computes; guidance counts double.
    """
    denoiser, autoencoder = denoiser_of(pipeline), pipeline.vae
    forward, decode = denoiser.forward, autoencoder.decode
    denoiser.forward = _cut(forward, watch, rows, count)
    autoencoder.decode = _cut(decode, watch, rows, lambda computed: None)
    try:
        yield
    finally:
        for module, name in ((denoiser, "forward"), (autoencoder, "decode")):
            vars(module).pop(name, None)


def _cut(compute: Callable[..., Any], watch: StepHook, rows: int, count: Callable[[int], None]) -> Callable[..., Any]:
    def computed(*args: Any, **named: Any) -> Any:
        alive, batch = watch.alive, len(args[0] if args else named["hidden_states"])
        if alive is None or len(alive) == rows:
            count(batch)
            return compute(*args, **named)
        index = _rows_of(alive, rows, batch)
        count(len(index))
        cut = {key: value if key in SHARED else _taken(value, index, batch) for key, value in named.items()}
        return _filled(compute(*(_taken(value, index, batch) for value in args), **cut), index, batch)

    return computed


def _rows_of(alive: "Tensor", rows: int, batch: int) -> "Tensor":
    """Guidance lays halves of `rows` one after the other."""
    import torch

    return torch.cat([alive + half * rows for half in range(batch // rows)])


def _taken(value: Any, index: "Tensor", batch: int) -> Any:
    """Every tensor that has a row for each of the batch, cut; also within dictionaries."""
    import torch

    if isinstance(value, dict):
        return {key: _taken(inner, index, batch) for key, inner in value.items()}
    whole = isinstance(value, torch.Tensor) and value.ndim > 0 and len(value) == batch
    return value[index.to(value.device)] if whole else value


def _filled(output: Any, index: "Tensor", batch: int) -> Any:
    """A tuple's tensors with zeros in the rows that were not computed. Raises TypeError for what is no tuple."""
    if not isinstance(output, tuple):
        raise TypeError(f"expected the tuple that return_dict=False gives, not {type(output).__name__}")
    values = []
    for value in output:
        whole = value.new_zeros((batch, *value.shape[1:]))
        whole[index.to(value.device)] = value
        values.append(whole)
    return tuple(values)
