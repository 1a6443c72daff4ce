"""A label round: votes of some labellers on every committed sample of a run; asked again, it goes on where it stopped."""

from collections.abc import Sequence
from datetime import UTC, datetime

from pipeline.engines.resumable import OpenedRound, open_or_resume
from pipeline.pack import PackVotes
from pipeline.plan import Plan
from pipeline.rounds.items import CommittedItems
from pipeline.rounds.rounds import rounds_with
from pipeline.stage import Stage
from pipeline.storage.store import Store
from schemas.errors import InputError
from stages.image_io.fetch_picture import FetchPicture
from stages.label.labeller import Labeller

UNIT_SIZE = 256  # samples: seconds of a small model's work, so that a lost worker costs little
NEEDS_PICTURE = frozenset({"pixels", "encoded"})


def open_label_round(store: Store, labellers: Sequence[Labeller]) -> OpenedRound:
    """The round of exactly these labellers on the samples as they are now. Raises InputError if there is no committed sample."""
    return open_round_of(store, label_plan(store, labellers), "-".join(labeller.name for labeller in labellers))


def open_round_of(store: Store, plan: Plan, name: str) -> OpenedRound:
    """`rounds/NNN-label-NAME` of this very plan: found, to be resumed, or begun.

    A round of that name with another plan (other samples, weights or settings) stays as it is: its votes stand beside the new ones.
    """
    return open_or_resume(store, f"-label-{name}", plan, lambda folder: PackVotes(began=_began(store, folder)))


def label_plan(store: Store, labellers: Sequence[Labeller]) -> Plan:
    """Committed samples → their pictures, if anyone looks at them → the labellers → votes."""
    rounds = rounds_with(store, "raw")
    if not any(True for _ in CommittedItems(store, rounds)):
        raise InputError(
            f"{store.url} holds no committed sample to label; run jobs/generate.py --out {store.url} first"
        )
    looks = any(labeller.needs & NEEDS_PICTURE for labeller in labellers)
    stages: tuple[Stage, ...] = (*((FetchPicture(url=store.url),) if looks else ()), *labellers)
    return Plan(stages, CommittedItems(store, rounds), UNIT_SIZE, seed=0, pack=PackVotes())


def _began(store: Store, folder: str) -> datetime:
    """When the round began, whoever asks: the first to ask writes it down. To the second, UTC."""
    now = datetime.now(UTC).replace(microsecond=0).isoformat()
    store.create(f"{folder}/began.txt", now.encode())
    return datetime.fromisoformat((store.read(f"{folder}/began.txt") or now.encode()).decode())
