"""Recognise the very same file, and the very same pixels in another file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import ClassVar

from pipeline.stage import Stage, Step
from schemas.sample import Pixels, Sample


@dataclass(frozen=True, kw_only=True)
class Exact(Stage):
    """`bytes_sha256` of the picture file, `pixels_sha256` of its size and decoded pixels."""

    needs: ClassVar[frozenset[str]] = frozenset({"encoded", "pixels"})
    adds: ClassVar[frozenset[str]] = frozenset({"signatures"})

    def open(self) -> Step:
        """Nothing to load."""

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            for sample in batch:
                assert sample.encoded is not None and sample.pixels is not None
                yield sample.signed(
                    bytes_sha256=sha256(sample.encoded).hexdigest(), pixels_sha256=pixels_digest(sample.pixels)
                )

        return step


def pixels_digest(pixels: Pixels) -> str:
    """sha256 over the shape and the values of uint8 [height, width, 3]."""
    return sha256(str(pixels.shape).encode() + pixels.tobytes()).hexdigest()
