"""Recognise a picture as other platforms do: PDQ, 256 bits, with its quality (Facebook 2019, "The TMK+PDQF video-hashing algorithm
and the PDQ image-hashing algorithm"), computed by their own code in the package `pdqhash`.
"""

import numpy as np
import numpy.typing as npt

from schemas.errors import InputError
from schemas.sample import Pixels

BYTES = 32
DISTANCE = 31  # of 256 bits: the threshold that its authors recommend, and that exchanges match by
QUALITY = 50  # of 100: below, the picture is too flat for its hash to mean anything; its authors advise to leave it out
Codes = npt.NDArray[np.uint8]


def pdq(pixels: Pixels) -> tuple[Codes, int]:
    """uint8 [32], the first bit of the hexadecimal form first, and the quality from 0 to 100, of uint8 [height, width, 3]."""
    try:
        import pdqhash
    except ImportError as error:
        raise InputError('PDQ needs the package pdqhash: pip install "hazmat[hashes]"') from error
    bits, quality = pdqhash.compute(np.ascontiguousarray(pixels))
    return np.packbits(np.asarray(bits, dtype=np.uint8)), int(quality)
