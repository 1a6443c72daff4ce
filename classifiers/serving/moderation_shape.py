"""Verdicts in the public moderation shape, which consoles and gateways call already.

Its thirteen categories are always there, since clients read them as fields; one that no classifier here judges is false, 0 and
rests on no kind of input. Categories of ours that have no counterpart stand beside them under their own ids.
"""

import uuid
from collections.abc import Sequence
from typing import Any

from classifiers.serving.verdicts import ServedVerdict

PUBLIC = {
    "hate": "hate",
    "harassment": "harassment",
    "violence": "violence",
    "self_harm": "self-harm",
    "sexual": "sexual",
    "shocking": "violence/graphic",
    "illegal_activity": "illicit",
}
FIELDS = (
    *("harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm"),
    *("self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic"),
)


def moderation(verdicts: Sequence[ServedVerdict], model: str) -> dict[str, Any]:
    """The whole answer."""
    return {"id": f"modr-{uuid.uuid4().hex}", "model": model, "results": [_result(each) for each in verdicts]}


def _result(verdict: ServedVerdict) -> dict[str, Any]:
    names = {ours: PUBLIC.get(ours, ours) for ours in verdict.scores}
    return {
        "flagged": verdict.flagged,
        "categories": dict.fromkeys(FIELDS, False) | {names[ours]: flag for ours, flag in verdict.flags.items()},
        "category_scores": dict.fromkeys(FIELDS, 0.0) | {names[ours]: score for ours, score in verdict.scores.items()},
        "category_applied_input_types": {name: [] for name in FIELDS}
        | {names[ours]: list(types) for ours, types in verdict.types.items()},
    }


def judgement(verdict: ServedVerdict) -> dict[str, Any]:
    """A row of /v1/judge: the verdict, and who said what about which scope."""
    return {
        "flagged": verdict.flagged,
        "unsafe": verdict.unsafe,
        "flagged_categories": [name for name, flag in verdict.flags.items() if flag],
        "scopes": {
            opinion.scope: {
                "model": opinion.model,
                "decided_by": opinion.decided_by,
                "unsafe": opinion.unsafe,
                "threshold": opinion.threshold,
                "categories": dict(opinion.categories),
            }
            for opinion in verdict.opinions
        },
    }
