"""Votes ride on samples, are committed beside them, and come back the same, killed or not, under both engines."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pytest

from pipeline.rounds.round import pending, run_digest
from pipeline.rounds.rounds import rounds_with
from pipeline.storage.open_store import open_store
from pipeline.storage.store import Store
from pipeline.votes.read import read_votes
from schemas.errors import InputError
from schemas.sample import Sample
from schemas.vote import VOTE_SCHEMA, Vote, votes_of, votes_table
from stages.label.labeller import Judge, Labeller, LabellerError, Opinion
from stages.label.prompt_policy import PromptPolicy
from stages.rounds.label_round import open_label_round
from tests.support.misbehaving import Paint
from tests.support.runs import carry_out, plan_of, rows, texts


@dataclass(frozen=True, kw_only=True)
class Whim(Labeller):
    """Calls violent what its key says, cannot stand `odd` prompts, and names a category it does not cover for `stray` ones."""

    scopes: ClassVar[tuple[str, ...]] = ("image",)
    needs: ClassVar[frozenset[str]] = frozenset({"pixels"})
    licence: ClassVar[str] = "Apache-2.0"
    batch_size: int = 4
    wording: str = "plain"

    def covers(self) -> tuple[str, ...]:
        return ("violence",)

    def judge(self) -> Judge:
        def judge(batch: Sequence[Sample]) -> list[list[Opinion]]:
            return [[self._opinion(sample)] for sample in batch]

        return judge

    def _opinion(self, sample: Sample) -> Opinion:
        if "odd" in sample.prompt:
            raise RuntimeError("cannot stand it")
        if "stray" in sample.prompt:
            return Opinion("image", "unsafe", ("spam",), score=0.9)
        violent = int(sample.key, 16) % 2 == 0
        return Opinion("image", "unsafe" if violent else "safe", ("violence",) if violent else (), score=float(violent))


@dataclass(frozen=True, kw_only=True)
class Hopeless(Whim):
    """Fails on everything."""

    def _opinion(self, sample: Sample) -> Opinion:
        raise RuntimeError("no picture can please me")


def vote(**changes: object) -> Vote:
    values: dict[str, object] = {
        "key": "k",
        "scope": "image",
        "annotator": "a",
        "annotator_type": "model",
        "label": "safe",
    }
    return Vote(**{**values, **changes})  # type: ignore[arg-type]


def finished_run(folder: Path, **special: int) -> Store:
    carry_out(folder, plan_of(texts(20, **special), Paint()))
    return open_store(str(folder))


def test_votes_come_back_from_parquet_as_they_went() -> None:
    cast = [
        vote(label="unsafe", categories=("violence", "spam"), score=0.5, severity=3, cost=0.25, view_ms=1200),
        vote(
            label="skip",
            reason="tired",
            covers=("sexual",),
            blind=False,
            gold=True,
            time=datetime(2026, 1, 2, tzinfo=UTC),
        ),
    ]
    table = votes_table(cast)
    assert table.schema == VOTE_SCHEMA and votes_of(table) == cast


@pytest.mark.parametrize(
    "wrong",
    [
        {"label": "fine"},
        {"scope": "video"},
        {"annotator_type": "cat"},
        {"label": "skip"},
        {"label": "safe", "categories": ("spam",)},
        {"score": 1.5},
        {"score": float("nan")},
    ],
)
def test_a_vote_that_no_count_could_use_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        vote(**wrong)


def test_a_child_inherits_no_vote() -> None:
    sample = Sample(key="k", root="k", votes=(vote(),))
    assert sample.derive("attack", 0).votes == () and sample.with_(prompt="p").votes == sample.votes


def test_a_labeller_in_a_generating_plan_commits_votes_beside_the_pictures(tmp_path: Path) -> None:
    round_ = carry_out(tmp_path, plan_of(texts(12, odd=5), Paint(), Whim(), PromptPolicy()))
    votes = votes_of(rows(tmp_path, "votes"))
    assert rows(tmp_path).num_rows == 12 and len(votes) == 24
    assert {vote.round for vote in votes} == {"rounds/000-generate"} and {vote.key for vote in votes} == set(
        rows(tmp_path)["key"].to_pylist()
    )
    assert any(entry.name.startswith("votes/") for entry in next(round_.receipts()).files)
    assert "votes" not in rows(tmp_path).column_names


def test_a_label_round_reads_pictures_back_and_adds_votes_only(tmp_path: Path) -> None:
    store = finished_run(tmp_path, odd=7, stray=9)
    opened = open_label_round(store, [Whim()])
    opened.carry_out("local")
    assert opened.round.folder == "rounds/001-label-whim" and rounds_with(store, "raw") == ["rounds/000-generate"]
    votes = votes_of(read_votes(store)[0])
    assert len(votes) == 20 and len({vote.time for vote in votes}) == 1 and votes[0].time is not None
    assert {vote.covers for vote in votes} == {("violence",)}
    skipped = {str(vote.reason) for vote in votes if vote.label == "skip"}
    assert skipped == {"failed: RuntimeError: cannot stand it", "outside of its coverage: spam"}


def test_a_killed_label_round_resumes_to_the_same_votes(tmp_path: Path) -> None:
    whole, killed = finished_run(tmp_path / "whole"), finished_run(tmp_path / "killed")
    for store in (whole, killed):
        store.write("rounds/001-label-whim/began.txt", b"2026-01-01T00:00:00+00:00")
    opened = open_label_round(whole, [Whim()])
    opened.carry_out("local")
    (tmp_path / "killed/rounds/001-label-whim/votes").mkdir(parents=True)
    (tmp_path / "killed/rounds/001-label-whim/votes/unit-000000.parquet").write_bytes(b"torn")
    first = open_label_round(killed, [Whim()])
    assert pending(first.round) == [0]
    first.carry_out("local")
    again = open_label_round(killed, [Whim()])
    assert again.round.folder == first.round.folder and pending(again.round) == []
    assert run_digest(list(again.round.receipts())) == run_digest(list(opened.round.receipts()))


def test_other_settings_make_a_round_of_their_own_and_keep_the_old_votes(tmp_path: Path) -> None:
    store = finished_run(tmp_path)
    for labeller in (Whim(), replace(Whim(), wording="other")):
        open_label_round(store, [labeller]).carry_out("local")
    votes = votes_of(read_votes(store)[0])
    assert len(votes) == 40 and {vote.round for vote in votes} == {"rounds/001-label-whim", "rounds/002-label-whim"}
    assert len({vote.version for vote in votes}) == 2


def test_a_labeller_that_fails_on_everything_stops_the_round(tmp_path: Path) -> None:
    store = finished_run(tmp_path)
    with pytest.raises(LabellerError, match="no picture can please me"):
        open_label_round(store, [Hopeless()]).carry_out("local")
    assert read_votes(store)[0].num_rows == 0


def test_a_run_without_samples_cannot_be_labelled(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no committed sample"):
        open_label_round(open_store(str(tmp_path)), [Whim()])


@pytest.mark.slow
def test_two_workers_on_ray_give_the_votes_of_one_process(tmp_path: Path) -> None:
    digests = []
    for engine in ("local", "ray"):
        store = finished_run(tmp_path / engine)
        store.write("rounds/001-label-whim-prompt_policy/began.txt", b"2026-01-01T00:00:00+00:00")
        opened = open_label_round(store, [Whim(), PromptPolicy()])
        opened.carry_out(engine, workers=2)
        digests.append(run_digest(list(opened.round.receipts())))
    assert digests[0] == digests[1]
