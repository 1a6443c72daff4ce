"""The rows of one call of a pipeline with their pictures, once these are there."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from pipeline.stage import BadSamplesError
from schemas.errors import HazmatError
from schemas.sample import Sample
from stages.generate.calling import Ready, Row
from stages.generate.levels import Fetch
from stages.generate.prompt_tokens import with_reading
from stages.generate.row_settings import used


@dataclass(frozen=True)
class DrawnBucket:
    """A call under way. `names` are of the weights, the model first; `chunked` rows have their prompts encoded in chunks.

    `scheduler` is of the call: the pipeline may have another by the time that somebody waits.
    """

    ready: Ready
    bucket: Sequence[Row]
    names: Sequence[str]
    scheduler: str
    chunked: bool

    @classmethod
    def begun(cls, ready: Ready, bucket: Sequence[Row], names: Sequence[str], *, chunked: bool) -> Self:
        """The call that was begun a moment ago."""
        return cls(ready, bucket, names, type(getattr(ready.pipeline, "scheduler", None)).__name__, chunked)

    def samples(self, fetch: Fetch) -> Iterator[Sample]:
        """Wait for the pictures. Raises BadSamplesError for rows without one, HazmatError for those of another size."""
        weights, settings = self.ready.weights, self.bucket[0].settings
        read = [
            with_reading(row.sample, self.ready.encoders, row.chunks if self.chunked else None) for row in self.bucket
        ]
        pictures, finite = fetch()
        width, height = weights.directory.size(settings.size)
        if pictures.shape[1:] != (height, width, 3):
            raise HazmatError(f"{self.names[0]} drew {pictures.shape[1:]}, expected {(height, width, 3)}; set its size")
        bad = [row.sample.key for row in self.bucket if not finite[row.sample.batch_row]]
        if bad:
            raise BadSamplesError(dict.fromkeys(bad, "the picture holds NaN"))
        known = {
            "generator": "+".join(self.names),
            "revision": weights.digest(),
            "scheduler": self.scheduler,
            "dtype": settings.dtype,
        }
        for row, sample in zip(self.bucket, read, strict=True):
            own = {"pixels": pictures[row.sample.batch_row], "seed": row.seed}
            yield sample.with_(**own, **known, **used(row.settings, weights.kind))
