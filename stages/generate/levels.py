"""From what a pipeline draws to 8-bit levels: on the device where that is, and without waiting for it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Levels = npt.NDArray[np.uint8]
Fetch = Callable[[], tuple[Levels, npt.NDArray[np.bool_]]]
"""Waits for pictures: uint8 [n, height, width, 3], and which rows are finite, bool [n]; the levels of others mean nothing."""


def levels_of(pictures: Any) -> Fetch:
    """Begin to round `pictures` in [0, 1]: an array float32 [n, height, width, 3], or a tensor [n, 3, height, width]."""
    if isinstance(pictures, np.ndarray):
        finite = np.asarray(np.isfinite(pictures).all(axis=(1, 2, 3)))
        with np.errstate(invalid="ignore"):  # of rows that are not finite
            levels = (pictures * 255).round().astype(np.uint8)
        return lambda: (levels, finite)
    import torch

    exact = pictures.float()
    whole = exact.isfinite().flatten(1).all(dim=1)
    rounded = (exact * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
    return _fetched(rounded, whole)


def _fetched(*tensors: Any) -> Fetch:
    """Copies of tensors, begun now; on a card into pinned memory, so that the card goes on with the next batch meanwhile."""
    import torch

    if tensors[0].device.type == "cpu":
        return lambda: (tensors[0].numpy(), tensors[1].numpy())
    copies = [torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True) for tensor in tensors]
    for copy, tensor in zip(copies, tensors, strict=True):
        copy.copy_(tensor, non_blocking=True)
    copied = torch.Event(tensors[0].device.type)
    copied.record()

    def fetch() -> tuple[Levels, npt.NDArray[np.bool_]]:
        copied.synchronize()
        levels, finite = (np.array(copy.numpy()) for copy in copies)  # pinned memory goes back to its pool
        return levels, finite

    return fetch
