"""Put samples into the rows of the planned batch, so that each is computed the same alone as in company (DESIGN 3.3)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from schemas.sample import Pixels, Sample

Floats = npt.NDArray[np.float32]


def planned_rows(batch: Sequence[Sample], arrays: Sequence[npt.NDArray[Any]], batch_size: int) -> npt.NDArray[Any]:
    """[batch_size, *shape]: each sample's array in the row `sample.batch_row`, zeros elsewhere."""
    rows = np.zeros((batch_size, *arrays[0].shape), dtype=arrays[0].dtype)
    for sample, array in zip(batch, arrays, strict=True):
        rows[sample.batch_row] = array
    return rows


def picture_of(sample: Sample) -> Pixels:
    """uint8 [height, width, 3]. Raises ValueError if the sample has no picture."""
    if sample.pixels is None:
        raise ValueError("the sample has no picture")
    return sample.pixels


def squeezed(pixels: Pixels, side: int, resample: Image.Resampling = Image.Resampling.BILINEAR) -> Pixels:
    """uint8 [side, side, 3], whatever the picture's proportions."""
    return np.asarray(Image.fromarray(pixels).resize((side, side), resample))
