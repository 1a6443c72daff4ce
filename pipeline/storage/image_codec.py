"""Pictures to bytes and back: the only file that knows picture formats."""

import io
from typing import Any

import numpy as np
from PIL import Image, ImageFilter, UnidentifiedImageError

from schemas.sample import Pixels

SETTINGS: dict[str, dict[str, Any]] = {
    "png": {"format": "PNG", "compress_level": 6},
    "jpg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    "webp": {"format": "WEBP", "quality": 90, "method": 4},
}


def encode(pixels: Pixels, kind: str) -> bytes:
    """uint8 [height, width, 3] as the bytes of a picture file; the same pixels give the same bytes."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, **SETTINGS[kind])
    return buffer.getvalue()


MAX_PIXELS = 64_000_000  # an 8k x 8k picture; more in one file is an attack on memory, not a sample

SUFFIXES = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}


def decode(data: bytes, kind: str) -> Pixels:
    """A picture file as uint8 [height, width, 3]. Raises ValueError for a picture that is too large or of another format."""
    try:
        opened = Image.open(io.BytesIO(data), formats=[SUFFIXES[kind]])
    except UnidentifiedImageError:  # Pillow's own words name an address in memory
        raise ValueError(f"the file is no {SUFFIXES[kind]} picture, or its beginning is damaged") from None
    with opened as picture:
        if picture.width * picture.height > MAX_PIXELS:
            raise ValueError(f"the picture has {picture.width} x {picture.height} pixels, more than {MAX_PIXELS}")
        return np.asarray(picture.convert("RGB"), dtype=np.uint8)


BLUR = 0.1  # of the picture's longer side: colours stay, what is shown goes


def blurred(data: bytes, form: str) -> bytes:
    """The picture as a PNG in which nothing can be made out."""
    picture = Image.fromarray(decode(data, form))
    buffer = io.BytesIO()
    picture.filter(ImageFilter.GaussianBlur(max(picture.size) * BLUR)).save(buffer, "PNG")
    return buffer.getvalue()
