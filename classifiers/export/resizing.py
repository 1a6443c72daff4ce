"""Antialiased resizing as two matrix products: the operators that every runtime computes alike.

torch's own antialiased kernels have no counterpart in ONNX that all runtimes agree on. The weights here are those of torch (and of
Pillow): the filter is stretched by the scale where the picture shrinks, and each row of weights sums to 1.
"""

from typing import Literal

import torch
from torch import Tensor

Filter = Literal["bicubic", "bilinear"]
SHARPNESS = -0.5  # of the cubic, where torch antialiases (Keys 1981, equation 15); -0.75 where it doesn't


def resize(pixels: Tensor, side: int, kind: Filter) -> Tensor:
    """float32 [n, h, w, 3] of any size → [n, 3, side, side]."""
    rows, columns = weights(pixels.shape[1], side, kind), weights(pixels.shape[2], side, kind)
    short = torch.matmul(rows, pixels.permute(0, 3, 1, 2))
    return torch.matmul(short, columns.T)


def weights(size: int, side: int, kind: Filter) -> Tensor:
    """float32 [side, size]: what each pixel of `size` gives to each of `side`."""
    scale = size / side
    stretch = max(scale, 1.0) if isinstance(size, int) else torch.sym_max(scale, 1.0)
    centres = (torch.arange(side, dtype=torch.float32)[:, None] + 0.5) * scale
    away = (torch.arange(size, dtype=torch.float32)[None, :] + 0.5 - centres).abs() / stretch
    raw = _cubic(away) if kind == "bicubic" else (1 - away).clamp(min=0)
    return raw / raw.sum(dim=1, keepdim=True)


def _cubic(away: Tensor) -> Tensor:
    near = ((SHARPNESS + 2) * away - (SHARPNESS + 3)) * away * away + 1
    far = (((away - 5) * away + 8) * away - 4) * SHARPNESS
    return torch.where(away <= 1, near, torch.where(away < 2, far, 0.0))
