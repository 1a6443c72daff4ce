"""People's votes from a Label Studio file, and their withdrawal, as stages: so they are committed in a round like any others."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import ClassVar

from pipeline.stage import Stage, Step
from pipeline.storage.open_store import open_store
from pipeline.votes.label_studio import Exchange, votes_from
from pipeline.votes.read import votes_before, votes_in
from schemas.sample import Sample
from schemas.vote import Vote


@dataclass(frozen=True, kw_only=True)
class PeopleVotes(Stage):
    """Adds the votes that `file` holds on each sample."""

    adds: ClassVar[frozenset[str]] = frozenset({"votes"})
    file: Path
    exchange: Exchange

    def open(self) -> Step:
        """Read the file."""
        cast: dict[str, list[Vote]] = {}
        for vote in votes_from(self.file.read_text(encoding="utf-8"), self.exchange).votes:
            cast.setdefault(vote.key, []).append(vote)

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            return (sample.with_(votes=(*sample.votes, *cast.get(sample.key, ()))) for sample in batch)

        return step

    def revision(self) -> str:
        """Digest of the file."""
        return blake2b(self.file.read_bytes(), digest_size=16).hexdigest()

    def describe(self) -> dict[str, str]:
        """Without the path: the digest says which file it was."""
        return {key: value for key, value in super().describe().items() if key != "file"}


@dataclass(frozen=True, kw_only=True)
class WithdrawnVotes(Stage):
    """For each person's vote of the round `withdrawn` of the run at `url` the one that they had before it, or else a `skip`.

    Votes are kept for good and the last one counts, so a withdrawal is a further vote; its time is its round's.
    """

    adds: ClassVar[frozenset[str]] = frozenset({"votes"})
    url: str
    withdrawn: str

    def open(self) -> Step:
        """Read the votes."""
        store = open_store(self.url)
        earlier = votes_before(store, self.withdrawn)
        cast: dict[str, list[Vote]] = {}
        for vote in votes_in(store, self.withdrawn):
            before = earlier.get((vote.key, vote.scope, vote.annotator))
            none = replace(
                vote, label="skip", categories=(), severity=None, reason=f"withdrawn: {self.withdrawn}", gold=False
            )
            cast.setdefault(vote.key, []).append(replace(before or none, time=None))

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            return (sample.with_(votes=(*sample.votes, *cast.get(sample.key, ()))) for sample in batch)

        return step

    def describe(self) -> dict[str, str]:
        """Without the run's place."""
        return {key: value for key, value in super().describe().items() if key != "url"}
