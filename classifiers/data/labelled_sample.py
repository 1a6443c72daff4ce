"""A sample with what is true of it: the one record that training, evaluation and tuning read, wherever it was kept."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.storage.image_codec import decode
from pipeline.storage.store import Store
from schemas.catalogue import SCOPES
from schemas.errors import InputError
from schemas.sample import Pixels, Sample

NA = "na"
"""The verdict that it cannot be told. A scope that was never labelled has no label at all: it is missing in `truth`."""
KNOWN = ("safe", "unsafe")


@dataclass(frozen=True, slots=True)
class ScopeTruth:
    """The label of one scope, and its categories (taxonomy ids) where it is unsafe."""

    label: str = NA
    categories: tuple[str, ...] = ()


UNKNOWN = ScopeTruth()


@dataclass(frozen=True, eq=False)
class LabelledSample:
    """A sample, the truth by scope (only of scopes that were labelled), and the test set that it belongs to.

    Its picture is in memory (`sample.pixels`, or a file's bytes in `sample.encoded`), or lies where `sample.tar` says.
    """

    sample: Sample
    truth: Mapping[str, ScopeTruth] = field(default_factory=dict)
    test_set: str = "test"  # outside of test the split
    weight: float = 1.0

    @property
    def overall(self) -> ScopeTruth:
        """The truth of the widest scope that was judged. A pair that judges could not tell is `na`, whatever its picture is."""
        return next((self.truth[scope] for scope in reversed(SCOPES) if scope in self.truth), UNKNOWN)

    @property
    def style(self) -> str | None:
        """Of a scene of the embedded world."""
        return None if self.sample.scene is None else json.loads(self.sample.scene).get("style")

    @property
    def unsafe(self) -> bool:
        """Whether the picture is known to be."""
        return self.of("image").label == "unsafe"

    @property
    def categories(self) -> tuple[str, ...]:
        """Those of the picture, where it is unsafe."""
        return self.of("image").categories if self.unsafe else ()

    def of(self, scope: str) -> ScopeTruth:
        """The truth of a scope; unknown where it was never labelled."""
        return self.truth.get(scope, UNKNOWN)

    def pixels(self, store: Store | None = None) -> Pixels:
        """uint8 [height, width, 3], decoded anew; out of the `store` where it is not in memory.

        Raises InputError for a picture that cannot be read.
        """
        sample = self.sample
        if sample.pixels is not None:
            return sample.pixels
        data = sample.encoded
        try:
            if data is None:
                assert (
                    store is not None and sample.tar and sample.tar_offset is not None and sample.tar_size is not None
                )
                data = store.read_range(sample.tar, sample.tar_offset, sample.tar_size)
            return decode(data, sample.format)
        except (OSError, ValueError) as error:
            raise InputError(
                f"the picture of {sample.key} does not decode ({error}); run jobs/verify.py RUN"
            ) from error
