"""Judges and aggregates beside the truth: precision, recall and F1 of unsafe, by scope."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.votes.labels import Policy, labels_of
from schemas.taxonomy import UNSAFEBENCH
from schemas.vote import Vote, votes_of, votes_table

GOLD = 10  # one scene in so many
POLICY = Policy(UNSAFEBENCH.name, UNSAFEBENCH.version, UNSAFEBENCH.ids)
TRUTH = "prompt_truth"  # is the truth itself on prompts of the grammar: shown, and left out where judges are compared
Said = dict[tuple[str, str], tuple[str, frozenset[str]]]
"""(scope, key) → label and categories."""


def figures(votes: Said, truth: dict[tuple[str, str], Vote], scope: str, covers: Sequence[str]) -> dict[str, Any]:
    """Precision, recall and F1 of unsafe (any covered category) and of each covered category, with accuracy and 95 % interval."""
    mine = {item: answer for item, answer in votes.items() if item[0] == scope}
    decided = {item: answer for item, answer in mine.items() if answer[0] in ("safe", "unsafe")}
    whole = len(covers) == len(UNSAFEBENCH.ids)
    wrong = [
        (truth[i].label == "unsafe" if whole else bool(set(truth[i].categories) & set(covers)), a[0] == "unsafe")
        for i, a in decided.items()
    ]
    if not wrong:
        return {}
    right = np.array([is_unsafe == says for is_unsafe, says in wrong])
    half = 1.96 * float(np.sqrt(right.mean() * (1 - right.mean()) / len(right)))
    by_category = {}
    for category in covers:
        pairs = [(category in truth[item].categories, category in answer[1]) for item, answer in decided.items()]
        by_category[category] = rates(pairs)
    return {
        **rates(wrong),
        "accuracy": round(float(right.mean()), 4),
        "accuracy_half_interval": round(half, 4),
        "undecided_rate": round(1 - len(decided) / len(mine), 4),
        "n": len(decided),
        "categories": by_category,
    }


def rates(pairs: Sequence[tuple[bool, bool]]) -> dict[str, float | int | None]:
    """Of (is, says): precision, recall and F1; None where nothing was said, or there was nothing to find."""
    hits = sum(is_so and says for is_so, says in pairs)
    positives, so = sum(says for _, says in pairs), sum(is_so for is_so, _ in pairs)
    return {
        "precision": round(hits / positives, 4) if positives else None,
        "recall": round(hits / so, 4) if so else None,
        "f1": round(2 * hits / (positives + so), 4) if positives + so else None,
        "positives": so,
    }


def said_by_votes(votes: Sequence[Vote]) -> Said:
    """One judge's votes."""
    return {(vote.scope, vote.key): (vote.label, frozenset(vote.categories)) for vote in votes}


def said_by_labels(votes: pa.Table, method: str) -> Said:
    """Labels derived from these votes."""
    rows = labels_of(votes, method, POLICY).to_pylist()
    return {
        (row["scope"], row["key"]): (row["label"], frozenset([row["category"]] if row["category"] else []))
        for row in rows
    }


def compare(table: pa.Table, truth_votes: Sequence[Vote]) -> dict[str, Any]:
    """Every judge and every aggregate, by scope."""
    truth = {(vote.scope, vote.key): vote for vote in truth_votes}
    gold = {vote.key for vote in truth_votes if int(vote.key, 16) % GOLD == 0}
    with_gold = pa.concat_tables([table, votes_table(v for v in truth_votes if v.key in gold)])
    rest = {
        "majority": said_by_labels(table, "majority"),
        "dawid_skene": said_by_labels(table, "dawid_skene"),
        "dawid_skene with gold": said_by_labels(with_gold, "dawid_skene"),
        "dawid_skene with gold, without prompt_truth": said_by_labels(
            with_gold.filter(pc.not_equal(with_gold["annotator"], TRUTH)), "dawid_skene"
        ),
    }
    judges: dict[str, list[Vote]] = {}
    for vote in votes_of(table):
        judges.setdefault(vote.annotator, []).append(vote)
    result: dict[str, Any] = {}
    for scope in ("prompt", "image", "pair"):
        measured = {name: (said_by_votes(votes), votes[0].covers) for name, votes in judges.items()}
        measured |= {f"= {name}": (cast, UNSAFEBENCH.ids) for name, cast in rest.items()}
        result[scope] = {
            name: figure
            for name, (cast, covers) in measured.items()
            if (figure := figures({i: a for i, a in cast.items() if i[1] not in gold}, truth, scope, covers))
        }
    return result
