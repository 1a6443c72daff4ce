"""Fewer pixels, as thumbnails have."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from schemas.errors import InputError
from schemas.sample import Pixels
from stages.attack.transform import Transform


@dataclass(frozen=True, kw_only=True)
class Resize(Transform):
    """Scale down to `share` of each side and up again, bicubic."""

    share: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.share <= 1:
            raise InputError(f"resize: share is {self.share}; expected a share of each side in (0, 1]")

    def change(self, pixels: Pixels, seed: int) -> Pixels:
        """Down and up."""
        height, width, _ = pixels.shape
        small = (max(1, round(width * self.share)), max(1, round(height * self.share)))
        picture = Image.fromarray(pixels).resize(small, Image.Resampling.BICUBIC)
        return np.array(picture.resize((width, height), Image.Resampling.BICUBIC))
