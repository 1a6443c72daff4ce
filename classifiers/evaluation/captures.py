"""What a run kept of its drawings, for scorers that judge during denoising: they are asked of the rows that have it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from classifiers.data.labelled_sample import LabelledSample
from classifiers.families.in_diffusion import InDiffusion
from pipeline.rounds.captures import CaptureReader
from pipeline.storage.open_store import open_store
from pipeline.storage.store import Store
from schemas.errors import InputError
from schemas.protocols import Coverage, Scorer


@dataclass(frozen=True)
class Captures:
    """The captures of a run when `share` of the schedule was done."""

    reader: CaptureReader
    share: float

    def of(self, cases: Sequence[LabelledSample]) -> dict[str, Tensor]:
        """float16 [n, …] by the names that classifiers read them under. Raises InputError for rows that nothing was kept of."""
        stacked = self.reader.stacked([case.sample.key for case in cases], self.share)
        return {name: torch.from_numpy(array) for name, array in stacked.items()}


def kept_for(url: str, scorer: Scorer, private: bool = False) -> Captures | None:
    """What this scorer reads of the run's drawings; None for one that reads prompts and pictures alone."""
    return Captures(_reader(url, private), scorer.share) if isinstance(scorer, InDiffusion) else None


def judged_by(store: Store, coverage: Coverage, cases: Sequence[LabelledSample]) -> Sequence[LabelledSample]:
    """The cases that a scorer can be asked of: all, or those whose own drawing was kept. Raises InputError where none was.

    A variant with other pixels was not drawn anew: during denoising nothing was attacked, so it is no row of such a scorer.
    """
    if not coverage.captures:
        return cases
    places = CaptureReader.of(store).places
    captured = [case for case in cases if case.sample.key in places]
    if not captured:
        raise InputError(
            f"of {len(cases)} rows none has captures, which {sorted(coverage.captures)} are read from; "
            "judge a split of a run of --recipe in_diffusion"
        )
    return captured


@lru_cache(maxsize=2)
def _reader(url: str, private: bool) -> CaptureReader:
    return CaptureReader.of(open_store(url, private=private))
