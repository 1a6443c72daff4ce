"""What another classifier would have said: verdicts of two over the same rows, row by row, and how often they differ."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from classifiers.evaluation.intervals import mcnemar, ratio
from classifiers.serving.limits import RequestError
from classifiers.serving.policies import KeyPolicy
from classifiers.serving.requests import Asked
from classifiers.serving.verdicts import ServedModels, ServedVerdict, verdict

BATCH = 64
CHANGES = ("newly_flagged", "no_longer_flagged", "both_flag", "neither_flags")


@dataclass(frozen=True)
class ShadowRow:
    """A row by its key (of a log, its line), its root prompt, and both verdicts; None where its classifier cannot judge."""

    key: str
    root: str
    old: ServedVerdict | None
    new: ServedVerdict | None

    @property
    def change(self) -> str | None:
        """Of `CHANGES`; None where one of them did not judge."""
        if self.old is None or self.new is None:
            return None
        return CHANGES[
            {(False, True): 0, (True, False): 1, (True, True): 2, (False, False): 3}[self.old.flagged, self.new.flagged]
        ]

    def as_dict(self) -> dict[str, Any]:
        """For a table."""
        record: dict[str, Any] = {"key": self.key, "root": self.root, "change": self.change}
        for name, side in (("old", self.old), ("new", self.new)):
            worst = None if side is None or not side.scores else max(side.scores, key=lambda each: side.scores[each])
            record |= {
                f"{name}_flagged": None if side is None else side.flagged,
                f"{name}_unsafe": None if side is None else side.unsafe,
                f"{name}_category": worst,
            }
        return record


def replayed(rows: Iterable[tuple[str, str, Asked]], old: ServedModels, new: ServedModels) -> Iterator[ShadowRow]:
    """Key, root and what was asked → both verdicts, each under its classifier's own threshold."""
    waiting = iter(rows)
    while part := list(islice(waiting, BATCH)):
        requests = [each for _, _, each in part]
        for (key, root, _), first, second in zip(part, _verdicts(requests, old), _verdicts(requests, new), strict=True):
            yield ShadowRow(key, root, first, second)


def _verdicts(requests: list[Asked], models: ServedModels) -> list[ServedVerdict | None]:
    able = [row for row, each in enumerate(requests) if _judged(each, models)]
    verdicts: list[ServedVerdict | None] = [None] * len(requests)
    for row, opinions in zip(able, models.judge([requests[row] for row in able]), strict=True):
        verdicts[row] = verdict(opinions, KeyPolicy())
    return verdicts


def _judged(request: Asked, models: ServedModels) -> bool:
    try:
        models.judges_of(request)
    except RequestError:
        return False
    return True


def difference_of(rows: list[ShadowRow]) -> dict[str, Any]:
    """Counts of changes, the share of rows whose verdict changes with its 95 % interval over roots, and McNemar's p."""
    judged = [row for row in rows if row.change is not None]
    counts = {name: sum(row.change == name for row in judged) for name in CHANGES}
    roots = sorted({row.root for row in judged})
    place = {root: number for number, root in enumerate(roots)}
    changed, every = np.zeros(len(roots)), np.zeros(len(roots))
    for row in judged:
        every[place[row.root]] += 1
        changed[place[row.root]] += row.change in CHANGES[:2]
    share = ratio(changed, every)
    return {
        "rows": len(rows),
        "not_judged": len(rows) - len(judged),
        **counts,
        "changed": share.value,
        "changed_low": share.low,
        "changed_high": share.high,
        "mcnemar_p": mcnemar(counts["newly_flagged"], counts["no_longer_flagged"]),
    }
