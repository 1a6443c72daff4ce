"""Bring a committed sample's picture back into memory."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from pipeline.stage import BadSamplesError, Stage, Step
from pipeline.store import open_store
from schemas.sample import Pixels, Sample

MAX_PIXELS = 64_000_000  # an 8k x 8k picture; more in one file is an attack on memory, not a sample
SUFFIXES = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}


@dataclass(frozen=True, kw_only=True)
class FetchPicture(Stage):
    """Read the picture's bytes from its tar in the run at `url`, and decode them. A picture that does not decode is quarantined."""

    adds: ClassVar[frozenset[str]] = frozenset({"encoded", "format", "pixels"})
    url: str

    def open(self) -> Step:
        """Open the run's store."""
        store = open_store(self.url)

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            for sample in batch:
                if sample.tar is None or sample.tar_offset is None or sample.tar_size is None or sample.format is None:
                    raise BadSamplesError({sample.key: "the sample was never committed with a picture"})
                data = store.read_range(sample.tar, sample.tar_offset, sample.tar_size)
                yield sample.with_(encoded=data, pixels=decode(data, sample.format))

        return step

    def describe(self) -> dict[str, str]:
        """Without the url: a run that was moved is still the same run."""
        return {key: value for key, value in super().describe().items() if key != "url"}


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
