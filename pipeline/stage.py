"""The contract of a stage. Everything Hazmat does to a sample is one of these; the engines know nothing else."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

from schemas.sample import Sample

LEVELS = ("L1", "L2", "L0")
"""From all to nothing: all bytes on one hardware and software, what pictures look like, plan and metadata only (DESIGN 3.3)."""

Step = Callable[[Sequence[Sample]], Iterable[Sample]]
"""A batch in, an iterable out, in the order of the batch: none for a sample drops it, one maps it, many fan it out."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What one worker of a stage takes. Neighbours with equal resources share a worker; others get a pool of their own.

    `cpus` 0 says that the work is not worth counting: the stage joins the one after it.
    """

    cpus: float = 1.0
    accelerator: bool = False  # one whole accelerator where the cluster has any, else CPU only


@dataclass(frozen=True, kw_only=True)
class Stage(ABC):
    """A frozen, picklable description; `open` makes the live step, once per worker.

    `needs` and `adds` name fields of Sample: the plan is checked with them before anything heavy starts.
    `batch_size` is the planned shape of a batch: a step that computes in batches always computes `batch_size` rows and puts
    `sample.batch_row` in its own row, so that a sample gets the same bytes alone as in company (DESIGN 3.3).
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    adds: ClassVar[frozenset[str]] = frozenset()
    resources: ClassVar[Resources] = Resources()
    ahead: ClassVar[bool] = False
    """Whether its step begins a batch when called, on a device, and waits when iterated: then the next batch is begun first."""
    batch_size: int = 64

    @property
    def name(self) -> str:
        """The file's name, which is the class's in snake case."""
        camel = type(self).__name__
        return "".join(f"_{char.lower()}" if char.isupper() else char for char in camel).lstrip("_")

    @property
    def level(self) -> str:
        """What can be made again of what it gives (one of `LEVELS`)."""
        return "L1"

    @property
    def fan_out(self) -> int:
        """Samples that it makes of one at most, so that units can be cut by what they hold in the end."""
        return 1

    def expected_seconds(self, on_cpu: bool) -> float:
        """Of one sample in one worker, by arithmetic alone, so that units of slow stages are small; 0: too little to matter."""
        return 0.0

    def batches(self, samples: Sequence[Sample]) -> Iterator[list[Sample]]:
        """A unit's samples in the batches that are planned, each with its row; which go together hangs on the unit alone."""
        for first in range(0, len(samples), self.batch_size):
            yield placed(samples[first : first + self.batch_size])

    @abstractmethod
    def open(self) -> Step:
        """Load what is heavy and return the step. Errors here end the run: they are not a sample's fault."""

    def revision(self) -> str:
        """A digest of what `open` will load (weights, tables), cheap enough for the driver; "" where there is nothing."""
        return ""

    def describe(self) -> dict[str, str]:
        """Everything that can change this stage's output, as text: goes into the plan's fingerprint."""
        settings = {field.name: repr(getattr(self, field.name)) for field in fields(self)}
        return {"stage": self.name, "revision": self.revision(), **settings}


def least(*levels: str) -> str:
    """The level of what is made of things of these levels."""
    return max(levels, key=LEVELS.index)


def placed(samples: Sequence[Sample], rows: int = 0) -> list[Sample]:
    """A batch: each sample with its row, and how many `rows` are computed (0: the stage's `batch_size`)."""
    return [sample.with_(batch_row=row, batch_rows=rows) for row, sample in enumerate(samples)]


class BadSamplesError(Exception):
    """Raised by a step that knows which samples of its batch are at fault; the others are run again without them."""

    def __init__(self, reasons: dict[str, str]) -> None:
        """`reasons` maps sample keys to what was wrong."""
        super().__init__("; ".join(f"{key}: {reason}" for key, reason in reasons.items()))
        self.reasons = reasons
