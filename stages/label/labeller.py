"""What every labeller shares: it looks at samples and adds votes, nothing else. Each other file here with a `Labeller` is one."""

import json
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import ClassVar

from pipeline.stage import Stage, Step
from schemas.errors import HazmatError
from schemas.sample import Sample
from schemas.taxonomy import UNSAFEBENCH, Taxonomy
from schemas.vote import Vote

ALL_FAIL_MINIMUM = 4
"""A labeller that fails on every sample of a batch of at least this many is broken; skips all over would hide that."""
REASON_LIMIT = 300  # characters of an error kept in a vote


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a labeller says about one scope of one sample; fields as in `Vote`."""

    scope: str
    label: str
    categories: tuple[str, ...] = ()
    score: float | None = None
    severity: int | None = None
    reason: str | None = None
    cost: float | None = None


Judge = Callable[[Sequence[Sample]], Sequence[Sequence[Opinion]]]
"""A batch in, the opinions on each sample out, in order. `sample.batch_row` is the sample's row in the planned batch."""


class LabellerError(HazmatError):
    """A labeller failed on everything, or says what it may not."""


@dataclass(frozen=True, kw_only=True)
class Labeller(Stage):
    """A stage that adds votes. It never drops a sample: one that it fails on gets the vote `skip` with the reason.

    `taxonomy` is the policy judged by; its name and version stand in every vote.
    """

    adds: ClassVar[frozenset[str]] = frozenset({"votes"})
    scopes: ClassVar[tuple[str, ...]]
    annotator_type: ClassVar[str] = "model"
    licence: ClassVar[
        str
    ]  # SPDX id of the weights or the code, whichever binds more; NOASSERTION if the user brings them
    gold: ClassVar[bool] = False  # it does not judge, it knows
    taxonomy: Taxonomy = UNSAFEBENCH

    @abstractmethod
    def judge(self) -> Judge:
        """Load what is heavy and return the live judge."""

    def covers(self) -> tuple[str, ...]:
        """The categories that it can tell; what it says of others is not counted."""
        return self.taxonomy.ids

    def asked(self) -> tuple[str, ...]:
        """The scopes that it votes on as it is set up; all that it can unless there is a choice."""
        return self.scopes

    @property
    def annotator(self) -> str:
        """Who votes: the file's name, and the model's where one is chosen."""
        return self.name

    def open(self) -> Step:
        """Load, and wrap the judge so that a sample that it fails on costs one vote."""
        judge, stamp = self.judge(), Stamp.of(self)

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            for sample, opinions in zip(batch, self._ask(judge, batch), strict=True):
                yield sample.with_(votes=(*sample.votes, *(stamp.vote(sample, opinion) for opinion in opinions)))

        return step

    def _ask(self, judge: Judge, batch: Sequence[Sample]) -> Sequence[Sequence[Opinion]]:
        try:
            return judge(batch)
        except Exception as error:
            if _is_not_the_samples(error):
                raise
            if len(batch) == 1:
                return [self.skips(error)]
        alone = [self._ask(judge, [sample]) for sample in batch]
        opinions = [one for (one,) in alone]
        failed = [
            one[0]
            for one in opinions
            if one and all(o.label == "skip" and o.reason and FAILED in o.reason for o in one)
        ]
        if len(failed) == len(batch) >= ALL_FAIL_MINIMUM:
            raise LabellerError(
                f"{self.name} failed on all {len(batch)} samples of a batch; the first: {failed[0].reason}"
            )
        return opinions

    def skips(self, error: Exception) -> list[Opinion]:
        """What becomes of a sample that the judge failed on."""
        return [self.skip(scope, error) for scope in self.asked()]

    def skip(self, scope: str, error: Exception) -> Opinion:
        """The vote on one scope that the judge failed on."""
        return Opinion(scope, "skip", reason=f"{FAILED}{type(error).__name__}: {error}"[:REASON_LIMIT])


FAILED = "failed: "


def _is_not_the_samples(error: Exception) -> bool:
    """Whether the pipeline must see the error: the run's own, or memory that ran out (torch's is matched by name)."""
    return isinstance(error, HazmatError | MemoryError) or type(error).__name__ == "OutOfMemoryError"


@dataclass(frozen=True, slots=True)
class Stamp:
    """What all votes of a labeller have in common."""

    annotator: str
    annotator_type: str
    covers: tuple[str, ...]
    version: str
    weights: str | None
    licence: str
    gold: bool
    taxonomy: Taxonomy

    @classmethod
    def of(cls, labeller: Labeller) -> "Stamp":
        """Digests included."""
        described = json.dumps(labeller.describe(), sort_keys=True)
        return cls(
            annotator=labeller.annotator,
            annotator_type=labeller.annotator_type,
            covers=labeller.taxonomy.covered(labeller.covers()),
            version=blake2b(described.encode(), digest_size=8).hexdigest(),
            weights=labeller.revision() or None,
            licence=labeller.licence,
            gold=labeller.gold,
            taxonomy=labeller.taxonomy,
        )

    def vote(self, sample: Sample, opinion: Opinion) -> Vote:
        """An opinion as a vote, in the taxonomy's own categories. Those outside the coverage are left out; one that names no
        other becomes a skip, or `safe` where the taxonomy says that they are none of its own.
        """
        told = [self.taxonomy.ours(category) for category in opinion.categories]
        within = tuple(dict.fromkeys(one for each in told for one in each or () if one in self.covers))
        label, reason, score = opinion.label, opinion.reason, opinion.score
        if told and all(each == () for each in told):
            label, reason, score = "safe", f"none of the policy's: {', '.join(opinion.categories)}", None
        elif told and not within:
            label, reason, score = "skip", f"outside of its coverage: {', '.join(opinion.categories)}", None
        return Vote(
            key=sample.key,
            scope=opinion.scope,
            annotator=self.annotator,
            annotator_type=self.annotator_type,
            label=label,
            categories=within,
            severity=opinion.severity,
            score=None if score is None else round(score, 6),
            covers=self.covers,
            version=self.version,
            weights=self.weights,
            licence=self.licence,
            gold=self.gold,
            policy=self.taxonomy.name,
            policy_version=self.taxonomy.version,
            reason=reason,
            cost=opinion.cost,
        )


def rated(scope: str, scores: Mapping[str, float], threshold: float) -> Opinion:
    """Unsafe in the categories whose score in [0, 1] reaches `threshold`, the highest first. Raises ValueError for NaN."""
    for category, score in scores.items():
        if not 0.0 <= score <= 1.0:
            raise ValueError(f"the score of {category} is {score}, expected a number in [0, 1]")
    best = max(scores.values())
    flagged = sorted((c for c in scores if scores[c] >= threshold), key=lambda c: -scores[c])
    return Opinion(scope, "unsafe" if flagged else "safe", tuple(flagged), score=best)
