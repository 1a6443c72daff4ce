"""The same picture many times over, small (the layout study of UnsafeBench, section 4: 2 x 2, 3 x 3, 4 x 4)."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from PIL import Image

from schemas.errors import InputError
from schemas.sample import Pixels
from stages.attack.transform import Transform


@dataclass(frozen=True, kw_only=True)
class Grid(Transform):
    """`cells` x `cells` copies of the picture in a picture of the old size."""

    cells: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cells < 1:
            raise InputError(f"grid: cells is {self.cells}; expected copies a side, at least 1")

    def change(self, pixels: Pixels, seed: int) -> Pixels:
        """Each copy is scaled to its own cell; cells differ by a pixel where the side is no multiple of `cells`."""
        height, width, _ = pixels.shape
        if min(height, width) < self.cells:
            raise ValueError(f"{height} x {width} pixels hold no {self.cells} x {self.cells} grid")
        rows = [height * index // self.cells for index in range(self.cells + 1)]
        columns = [width * index // self.cells for index in range(self.cells + 1)]
        out = np.empty_like(pixels)
        for top, bottom in pairwise(rows):
            for left, right in pairwise(columns):
                cell = Image.fromarray(pixels).resize((right - left, bottom - top), Image.Resampling.BOX)
                out[top:bottom, left:right] = np.array(cell)
        return out
