"""Bring a committed sample's picture file back into memory, checked and not decoded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import ClassVar

from pipeline.stage import BadSamplesError, Stage, Step
from pipeline.storage.open_store import open_store
from pipeline.storage.store import Extent
from schemas.sample import Sample


@dataclass(frozen=True, kw_only=True)
class FetchBytes(Stage):
    """Read the picture's bytes from its tar in the run at `url`. Bytes that are not those committed are quarantined."""

    adds: ClassVar[frozenset[str]] = frozenset({"encoded", "format"})
    url: str
    batch_size: int = 256  # more of a batch lies in one tar, which is opened once

    def open(self) -> Step:
        """Open the run's store."""
        store = open_store(self.url)

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            files = store.read_ranges([_extent(sample) for sample in batch])
            for sample, data in zip(batch, files, strict=True):
                if sha256(data).hexdigest() != sample.image_sha256:
                    raise BadSamplesError({sample.key: f"the picture in {sample.tar} is not what was committed"})
                yield sample.with_(encoded=data)

        return step

    def describe(self) -> dict[str, str]:
        """Without the url: a run that was moved is still the same run."""
        return {key: value for key, value in super().describe().items() if key != "url"}


def _extent(sample: Sample) -> Extent:
    if sample.tar is None or sample.tar_offset is None or sample.tar_size is None or sample.format is None:
        raise BadSamplesError({sample.key: "the sample was never committed with a picture"})
    return sample.tar, sample.tar_offset, sample.tar_size
