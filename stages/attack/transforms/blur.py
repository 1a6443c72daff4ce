"""A picture out of focus."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from schemas.errors import InputError
from schemas.sample import Pixels
from stages.attack.transform import Transform


@dataclass(frozen=True, kw_only=True)
class Blur(Transform):
    """Gaussian blur; `sigma` is a share of the shorter side, so that it means the same at every size."""

    sigma: float = 0.02

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sigma < 0:
            raise InputError(f"blur: sigma is {self.sigma}; expected a share of the shorter side, at least 0")

    def change(self, pixels: Pixels, seed: int) -> Pixels:
        """Pillow's radius is the standard deviation in pixels."""
        radius = self.sigma * min(pixels.shape[:2])
        return np.array(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))
