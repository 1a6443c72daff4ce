"""Bring a committed sample's picture back into memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pipeline.stage import BadSamplesError, Stage, Step
from pipeline.storage.image_codec import decode
from pipeline.storage.open_store import open_store
from schemas.sample import Sample


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
