"""Recognise a prompt (digest), the same in another spelling (digest of its plain form) and in other words (MinHash)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from zlib import crc32

import numpy as np
import numpy.typing as npt

from pipeline.stage import Stage, Step
from schemas.identity import derived_key
from schemas.sample import Sample
from stages.prompts.normalise import exact, plain, shingles

VALUES = 64  # standard error of the estimated Jaccard similarity: 1 / sqrt(64) = 0.125 at worst
_RNG = np.random.default_rng(5)  # fixed: signatures of all runs must be comparable
_FACTOR = _RNG.integers(1, 2**63, VALUES, dtype=np.uint64) | np.uint64(1)
_SUMMAND = _RNG.integers(0, 2**63, VALUES, dtype=np.uint64)


@dataclass(frozen=True, kw_only=True)
class PromptText(Stage):
    """`prompt_digest` of prompt and drawn prompt together, `spelling_digest` of their plain spellings, `minhash` of the prompt's.

    Prompts with one `prompt_digest` are equal but for case and canonical equivalence (NFC).

    Both prompts, because of confounders: few sentences without an object stand with many pictures each, on purpose, and
    would glue all of them into one group. Everywhere else the two are equal.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"prompt", "generation_prompt"})
    adds: ClassVar[frozenset[str]] = frozenset({"signatures"})

    def open(self) -> Step:
        """Nothing to load."""

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            for sample in batch:
                texts = (sample.prompt, sample.generation_prompt)
                spellings = [plain(text) for text in texts]
                yield sample.signed(
                    prompt_digest=derived_key(*map(exact, texts)),
                    spelling_digest=derived_key(*spellings),
                    minhash=minhash(spellings[0]).tobytes(),
                )

        return step


def minhash(text: str) -> npt.NDArray[np.uint32]:
    """uint32 [VALUES]: the least of each hash over the text's shingles (multiply-shift, Dietzfelbinger et al. 1997)."""
    codes = {crc32(shingle.encode()) for shingle in shingles(text)}
    values = np.fromiter(codes, dtype=np.uint64, count=len(codes))
    with np.errstate(over="ignore"):
        hashed: npt.NDArray[Any] = (values[:, None] * _FACTOR + _SUMMAND) >> np.uint64(32)
    least: npt.NDArray[np.uint32] = hashed.min(axis=0).astype(np.uint32)
    return least
