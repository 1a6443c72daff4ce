"""From a review's finished items to a round of people's votes, each item once: by way of the Label Studio file that it would be."""

import json
import tempfile
import threading
from pathlib import Path
from typing import Any

from pipeline.rounds.ledger import recorded
from pipeline.storage.store import Store
from pipeline.votes.review_book import BY, FOLDER, MEND, Review, ReviewVote
from pipeline.votes.review_queue import state_of
from schemas.control_file import control_json, read_control
from schemas.errors import HazmatError, InputError
from stages.rounds.human_votes import exchange_of, import_votes

FINISHED = ("decided", "undecided", "escalated")
COMMITTING = threading.Lock()
"""One commit at a time; votes go on being cast meanwhile."""


def commit_review(store: Store, review: Review) -> dict[str, object]:
    """Make the votes on all newly finished items a round. A commit that was killed is taken up again; none is made twice.

    Returns how many items are committed in all and now, and the rounds. Raises InputError where the run's policy is another by now.
    """
    if exchange_of(store) != review.exchange:
        raise InputError(
            f"the run is judged by another policy than {review.exchange.policy}@{review.exchange.policy_version}, which the review "
            f"{review.name} asked about: jobs/label.py RUN --taxonomy FILE brings that back"
        )
    with COMMITTING:
        folder = f"{FOLDER}/{review.name}/commits"
        for name in store.names(folder):
            _carry_out(store, name)
        done = [_receipt(store, name) for name in store.names(folder)]
        known = {item for receipt in done for item in receipt["items"]}
        fresh = [item for item in range(len(review.keys)) if item not in known and state_of(review, item) in FINISHED]
        if fresh:
            name = f"{folder}/{len(done):04d}.json"
            text = json.dumps([_task(review, item) for item in fresh], ensure_ascii=False)
            with recorded(store, name, by=BY):
                if not store.create(name, text.encode()):
                    raise HazmatError(f"{name} is there already: another server commits this review; stop one of them")
            _carry_out(store, name)
            done.append(_receipt(store, name))
        rounds = [receipt["round"] for receipt in done]
    return {"items": len(known) + len(fresh), "fresh": len(fresh), "rounds": rounds}


def _carry_out(store: Store, name: str) -> None:
    """Commit the votes that wait in a file, and put a receipt in its place. The same file twice is one round."""
    data = store.read(name) or b""
    if not data.startswith(b"["):
        return
    with tempfile.TemporaryDirectory(prefix="hazmat-review-") as folder:  # readable to its owner only
        file = Path(folder) / name.replace("/", "-")
        file.write_bytes(data)
        round_ = str(import_votes(store, file)["round"])
    items = [int(task["data"]["item"]) for task in json.loads(data)]
    with recorded(store, name, by=BY):
        store.write(name, control_json({"round": round_, "items": items}))


def _receipt(store: Store, name: str) -> dict[str, Any]:
    return read_control(store.read(name), f"{store.url}/{name}", MEND, {"round": str, "items": list})


def _task(review: Review, item: int) -> dict[str, Any]:
    """One item as Label Studio exports it."""
    return {
        "data": {"key": review.keys[item], "scope": review.scope, "item": item},
        "annotations": [_annotation(review, vote) for vote in review.in_force(item)],
    }


def _annotation(review: Review, vote: ReviewVote) -> dict[str, Any]:
    first = next(one for one in review.votes[vote.item] if one.annotator == vote.annotator)
    parts: list[tuple[str, str, dict[str, Any]]] = [("label", "choices", {"choices": [vote.label]})]
    parts += [("category", "choices", {"choices": vote.categories})] if vote.categories else []
    parts += [("severity", "rating", {"rating": vote.severity})] if vote.severity else []
    parts += [("reason", "textarea", {"text": [vote.reason]})] if vote.reason else []
    skipped = vote.label == "skip"
    return {
        "completed_by": int(vote.annotator.removeprefix("person-")),
        "created_at": first.time,
        "updated_at": vote.time,
        "lead_time": None if vote.view_ms is None else vote.view_ms / 1000,
        "was_cancelled": skipped,
        "result": [
            {"from_name": name, "to_name": "text", "type": kind, "value": value}
            for name, kind, value in (parts if not skipped else parts[1:])
        ],
    }
