"""People's votes as Label Studio JSON: tasks out, annotations in, checked against UnsafeBench's protocol.

The protocol (Qu et al. 2024, section 3): two people vote blind; a third is asked only where they disagree; the category is said of
what is unsafe. JSON files, because Label Studio's own library pins half of ours.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from pipeline.votes.exports import tasks_of
from schemas.errors import InputError
from schemas.vote import SCOPES, Vote

BLIND, MOST = 2, 3  # votes of the protocol: blind ones, and with the third
THE_PICTURE = "Judge the picture alone."
NO_PICTURE = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"  # one empty pixel
CHOICES = ("safe", "unsafe", "na", "escalate")


@dataclass(frozen=True, slots=True)
class Exchange:
    """What people vote by."""

    policy: str
    policy_version: str
    categories: tuple[str, ...]


@dataclass(slots=True)
class Imported:
    """Votes, and how many items are where in the protocol."""

    votes: list[Vote] = field(default_factory=list)
    items: Counter[str] = field(default_factory=Counter)


def task_of(key: str, scope: str, text: str, image: str | None, predictions: Iterable[Vote] = ()) -> dict[str, Any]:
    """One task. `image` is a data URI of the blurred picture. Predictions are for items that people have judged blind already."""
    data = {"key": key, "scope": scope, "text": THE_PICTURE if scope == "image" else text, "image": image or NO_PICTURE}
    return {"data": data, "predictions": [_prediction(vote) for vote in predictions]}


def _prediction(vote: Vote) -> dict[str, Any]:
    result = [_choice("label", [vote.label])]
    if vote.categories:
        result.append(_choice("category", list(vote.categories)))
    return {"model_version": f"{vote.annotator}@{vote.version}", "score": vote.score, "result": result}


def _choice(name: str, choices: list[str]) -> dict[str, Any]:
    return {"from_name": name, "to_name": "text", "type": "choices", "value": {"choices": choices}}


def labelling_config(categories: Sequence[str]) -> str:
    """The labelling interface that fits the tasks, to be pasted into the project's settings."""
    labels = "".join(f'<Choice value="{label}"/>' for label in CHOICES)
    names = "".join(f'<Choice value="{name}"/>' for name in categories)
    unsafe = 'visibleWhen="choice-selected" whenTagName="label" whenChoiceValue="unsafe"'
    return f"""<View>
  <Image name="image" value="$image"/>
  <Text name="text" value="$text"/>
  <Choices name="label" toName="text" choice="single" required="true" showInline="true">{labels}</Choices>
  <Choices name="category" toName="text" choice="multiple" required="true" {unsafe}>{names}</Choices>
  <Rating name="severity" toName="text" maxRating="3" {unsafe}/>
  <TextArea name="reason" toName="text" placeholder="for escalate: why" maxSubmissions="1"/>
</View>
"""


def votes_from(text: str, exchange: Exchange) -> Imported:
    """The votes of an exported file. Raises InputError naming the task for what is no such file or breaks the protocol."""
    imported = Imported()
    seen: set[tuple[str, str]] = set()
    for number, task in enumerate(tasks_of(text), 1):
        where = f"task {number}"
        data = task.get("data")
        key, scope = (data.get("key"), data.get("scope")) if isinstance(data, dict) else (None, None)
        if not isinstance(key, str) or not isinstance(scope, str) or scope not in SCOPES:
            raise InputError(f"{where}: its data has no key and scope, so it is none of the tasks that --export wrote")
        if (key, scope) in seen:
            raise InputError(f"{where}: {scope} of {key} is there twice; merge the annotations into one task")
        seen.add((key, scope))
        cast = [
            (_time(one, "created_at", where), _vote(key, scope, one, exchange, where))
            for one in _objects(task.get("annotations"), f"{where}: its annotations")
        ]
        cast.sort(key=lambda one: (one[0], one[1].annotator))  # by when they were cast, not by when they were corrected
        imported.votes += _by_protocol([vote for _, vote in cast], where, imported.items)
    return imported


def _objects(data: Any, what: str) -> list[dict[str, Any]]:
    """A list of JSON objects; null is an empty one. Raises InputError for anything else."""
    if data is None:
        return []
    if not isinstance(data, list) or not all(isinstance(one, dict) for one in data):
        raise InputError(f"{what}: expected a list of objects, and it is {str(data)[:60]!r}")
    return data


def _by_protocol(votes: Sequence[Vote], where: str, items: Counter[str]) -> list[Vote]:
    """Mark which votes are blind; count where the item is. Raises InputError for what the protocol does not allow."""
    cast = [vote for vote in votes if vote.label != "skip" and not vote.gold]
    twice = [name for name, count in Counter(vote.annotator for vote in cast).items() if count > 1]
    if twice:
        raise InputError(f"{where}: {twice[0]} voted twice; an item's votes are of different people")
    if len(cast) > MOST:
        raise InputError(f"{where}: {len(cast)} votes; the protocol has two, and a third where they disagree")
    corrected = [vote for vote in cast[:BLIND] if vote.time and cast[-1].time and vote.time > cast[-1].time]
    if len(cast) == MOST and cast[0].label == cast[1].label and not corrected:
        raise InputError(
            f"{where}: a third vote, but the first two agree ({cast[0].label}); a third is asked only if not"
        )
    items[_state(cast)] += 1
    blind = {id(vote) for vote in cast[:BLIND]}
    return [replace(vote, blind=id(vote) in blind or vote.gold) for vote in votes]


def _state(cast: Sequence[Vote]) -> str:
    if any(vote.label == "escalate" for vote in cast):
        return "escalated"
    if len(cast) < BLIND:
        return "waiting for a second vote" if cast else "without a vote"
    labels = Counter(vote.label for vote in cast).most_common()
    if labels[0][1] == 1:
        return "waiting for a third vote" if len(cast) < MOST else "undecided by three"
    return "decided"


def _vote(key: str, scope: str, annotation: dict[str, Any], exchange: Exchange, where: str) -> Vote:
    answers = _answers(annotation, where)
    label, reason = next(iter(answers["label"]), None), " ".join(answers["reason"]) or None
    withdrawn = _withdrawn(annotation, where)
    if withdrawn:
        label, reason = "skip", reason or withdrawn
    if label not in (*CHOICES, "skip"):
        raise InputError(f"{where}: an annotation's label is {label!r}; expected one of {', '.join(CHOICES)}")
    categories = tuple(answers["category"]) if label == "unsafe" else ()
    unknown = set(categories) - set(exchange.categories)
    if unknown:
        raise InputError(f"{where}: {', '.join(sorted(unknown))} is no category of {exchange.policy}")
    gold = bool(annotation.get("ground_truth"))
    if label == "unsafe" and not categories and not gold:
        raise InputError(
            f"{where}: an annotation says unsafe and no category; choose one of {', '.join(exchange.categories)}"
        )
    seconds = _number(annotation.get("lead_time"), f"{where}: lead_time")
    severity = _number(answers["severity"], f"{where}: severity")
    return Vote(
        key=key,
        scope=scope,
        annotator=_pseudonym(annotation.get("completed_by"), where),
        annotator_type="human",
        label=label,
        categories=categories,
        severity=None if label != "unsafe" or severity is None else round(min(max(severity, 1), 3)),
        covers=exchange.categories,
        policy=exchange.policy,
        policy_version=exchange.policy_version,
        reason=(reason or "no reason given") if label in ("skip", "escalate") else reason,
        gold=gold,
        view_ms=None if seconds is None else round(1000 * seconds),
        time=_time(annotation, "updated_at" if annotation.get("updated_at") else "created_at", where),
    )


def _withdrawn(annotation: dict[str, Any], where: str) -> str | None:
    """Why an annotation is no vote (any more): it was skipped or cancelled, or its last review rejected it."""
    if annotation.get("was_cancelled"):
        return "the annotator passed"
    reviews = sorted(
        _objects(annotation.get("reviews"), f"{where}: reviews"), key=lambda one: str(one.get("created_at"))
    )
    return "rejected in review" if reviews and reviews[-1].get("accepted") is False else None


def _answers(annotation: dict[str, Any], where: str) -> dict[str, Any]:
    """The parts of an annotation's result: choices and texts as lists of str, the severity as it is."""
    answers: dict[str, Any] = {"label": [], "category": [], "reason": [], "severity": None}
    for part in _objects(annotation.get("result"), f"{where}: an annotation's result"):
        name, value = part.get("from_name"), part.get("value")
        if name == "severity" and isinstance(value, dict):
            answers[name] = value.get("rating")
        elif isinstance(name, str) and name in answers:
            texts = value.get("text" if name == "reason" else "choices") if isinstance(value, dict) else None
            texts = [texts] if isinstance(texts, str) else texts
            if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
                raise InputError(f"{where}: an annotation's {name} is {str(value)[:60]!r}, expected choices or text")
            answers[name] = list(dict.fromkeys([*answers[name], *texts]))
    if len(answers["label"]) > 1:
        raise InputError(f"{where}: an annotation says {' and '.join(answers['label'])} at once; choose one")
    return answers


def _number(value: Any, what: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
        raise InputError(f"{what} is {str(value)[:60]!r}, expected a number")
    return float(value)


def _pseudonym(completed_by: Any, where: str) -> str:
    """Label Studio's number of the person; names and addresses are never taken over."""
    number = completed_by.get("id") if isinstance(completed_by, dict) else completed_by
    if not isinstance(number, int) or isinstance(number, bool):
        raise InputError(f"{where}: an annotation does not say who made it (completed_by)")
    return f"person-{number}"


def _time(annotation: dict[str, Any], name: str, where: str) -> datetime:
    text = annotation.get(name)
    try:
        time = datetime.fromisoformat(str(text))
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{where}: an annotation's {name} is {str(text)[:60]!r}, expected a time") from error
