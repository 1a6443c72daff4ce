"""Encode pictures as the files that will be stored."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import ClassVar

from pipeline.stage import Stage, Step
from pipeline.storage.image_codec import SETTINGS, encode
from schemas.errors import InputError
from schemas.sample import Pixels, Sample

LOSSLESS_BELOW = 256  # pixels of a side: small pictures are stored as PNG, large ones as JPEG (DESIGN 3.13)


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
