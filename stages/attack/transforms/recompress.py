"""Lossy compression, as every upload goes through."""

import io
from dataclasses import dataclass

from PIL import Image

from pipeline.storage.image_codec import decode
from schemas.errors import InputError
from schemas.sample import Pixels
from stages.attack.transform import Transform


@dataclass(frozen=True, kw_only=True)
class Recompress(Transform):
    """JPEG at `quality` (1 to 95, Pillow's scale) with its usual chroma subsampling, and back."""

    quality: int = 30

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.quality <= 95:
            raise InputError(f"recompress: quality is {self.quality}; expected 1 to 95")

    def change(self, pixels: Pixels, seed: int) -> Pixels:
        """Encode and decode."""
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, format="JPEG", quality=self.quality)
        return decode(buffer.getvalue(), "jpg")
