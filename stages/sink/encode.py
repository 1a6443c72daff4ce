"""Encode pictures as the files that will be stored."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, ClassVar

from PIL import Image

from pipeline.stage import Stage, Step
from schemas.errors import InputError
from schemas.sample import Pixels, Sample

LOSSLESS_BELOW = 256  # pixels of a side: small pictures are stored as PNG, large ones as JPEG (DESIGN 3.13)
SETTINGS: dict[str, dict[str, Any]] = {
    "png": {"format": "PNG", "compress_level": 6},
    "jpg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    "webp": {"format": "WEBP", "quality": 90, "method": 4},
}


@dataclass(frozen=True, kw_only=True)
class Encode(Stage):
    """Write `pixels` as `format` (png, jpg, webp, or auto: PNG below 256 pixels, else JPEG of quality 95)."""

    needs: ClassVar[frozenset[str]] = frozenset({"pixels"})
    adds: ClassVar[frozenset[str]] = frozenset({"encoded", "format", "width", "height", "image_sha256"})
    format: str = "auto"

    def __post_init__(self) -> None:
        if self.format not in (*SETTINGS, "auto"):
            raise InputError(f"picture format {self.format!r}: expected auto or one of {', '.join(SETTINGS)}")

    def open(self) -> Step:
        """Nothing to load."""

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            for sample in batch:
                assert sample.pixels is not None
                yield self._encoded(sample, sample.pixels)

        return step

    def _encoded(self, sample: Sample, pixels: Pixels) -> Sample:
        height, width, _ = pixels.shape
        small = max(height, width) < LOSSLESS_BELOW
        chosen = self.format if self.format != "auto" else ("png" if small else "jpg")
        data = encode(pixels, chosen)
        return sample.with_(
            encoded=data, format=chosen, width=width, height=height, image_sha256=sha256(data).hexdigest()
        )


def encode(pixels: Pixels, kind: str) -> bytes:
    """uint8 [height, width, 3] as the bytes of a picture file; the same pixels give the same bytes."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, **SETTINGS[kind])
    return buffer.getvalue()
