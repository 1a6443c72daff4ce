"""Part of the picture."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from PIL import Image

from schemas.errors import InputError
from schemas.sample import Pixels
from stages.attack.transform import Transform


@dataclass(frozen=True, kw_only=True)
class Crop(Transform):
    """A window of `share` of each side, placed by the sample's seed, scaled up to the old size.

    What matters may have been cut off, so the truth is read anew.
    """

    preserves: ClassVar[bool] = False
    share: float = 0.8

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.share <= 1:
            raise InputError(f"crop: share is {self.share}; expected a share of each side in (0, 1]")

    def change(self, pixels: Pixels, seed: int) -> Pixels:
        """Cut and scale, bicubic."""
        height, width, _ = pixels.shape
        tall, wide = max(1, round(height * self.share)), max(1, round(width * self.share))
        draw = np.random.default_rng(seed)
        top, left = int(draw.integers(height - tall + 1)), int(draw.integers(width - wide + 1))
        part = Image.fromarray(np.ascontiguousarray(pixels[top : top + tall, left : left + wide]))
        return np.array(part.resize((width, height), Image.Resampling.BICUBIC))
