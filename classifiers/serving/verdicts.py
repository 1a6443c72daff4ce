"""What trained classifiers say of what was asked, each side by whoever reads it; and what a policy makes of that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from classifiers.classifier import Classifier
from classifiers.serving.limits import bad
from classifiers.serving.policies import KeyPolicy
from classifiers.serving.requests import Asked

PLAIN = 0.5  # the threshold of a scope that is not the one that a classifier was calibrated for
BLANK = np.full((8, 8, 3), 128, dtype=np.uint8)
TYPES = {"prompt": ("text",), "image": ("image",), "pair": ("text", "image")}
Scored = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class ScopeOpinion:
    """Of one classifier about one scope: P(unsafe), P(category), the threshold, and the stage whose word was last."""

    scope: str
    model: str
    decided_by: str
    unsafe: float
    categories: Mapping[str, float]
    threshold: float


@dataclass(frozen=True)
class ServedVerdict:
    """Under a policy: flagged or not, in which categories, by which score (the highest), and on which kinds of input each rests."""

    flagged: bool
    unsafe: float
    scores: Mapping[str, float]
    flags: Mapping[str, bool]
    types: Mapping[str, tuple[str, ...]]
    opinions: tuple[ScopeOpinion, ...]


class ServedModels:
    """The classifiers that are served. Of several that could judge, the first is asked."""

    def __init__(self, models: Sequence[Classifier]) -> None:
        self.models = tuple(model.eval() for model in models)

    @property
    def categories(self) -> tuple[str, ...]:
        """All that any of them knows, in order."""
        return tuple(dict.fromkeys(name for model in self.models for name in model.categories))

    def judges_of(self, request: Asked) -> list[tuple[int, str]]:
        """Which models judge, by place, and for which scope. Raises RequestError where a side would be passed over."""
        sides = frozenset(
            side for side, value in (("prompt", request.text), ("image", request.picture)) if value is not None
        )
        together = self._reading(sides)
        if together is not None:
            return [(together, self.models[together].scope)]
        return [self._alone(side) for side in sorted(sides)]

    def _reading(self, sides: frozenset[str]) -> int | None:
        return next((place for place, model in enumerate(self.models) if model.reads == sides), None)

    def _alone(self, side: str) -> tuple[int, str]:
        alone = self._reading(frozenset({side}))
        if alone is not None:
            return alone, side
        wider = next((place for place, model in enumerate(self.models) if side in model.scopes), None)
        if wider is None:
            read = " and ".join(sorted({what for model in self.models for what in model.reads}))
            raise bad(f"no classifier here judges a {side} by itself; they read {read}", "not_judged")
        return wider, side

    def judge(self, rows: Sequence[Asked]) -> list[list[ScopeOpinion]]:
        """The opinions about each row. Raises InputError for a picture that cannot be read, whichever row it is of."""
        opinions: list[list[ScopeOpinion]] = [[] for _ in rows]
        wanted = [self.judges_of(row) for row in rows]
        for place, model in enumerate(self.models):
            mine = [(row, scope) for row, judges in enumerate(wanted) for judge, scope in judges if judge == place]
            if mine:
                for (row, _), opinion in zip(mine, self._ask(model, rows, mine), strict=True):
                    opinions[row].append(opinion)
        return opinions

    def _ask(self, model: Classifier, rows: Sequence[Asked], mine: Sequence[tuple[int, str]]) -> list[ScopeOpinion]:
        prompts = [rows[row].text or "" for row, _ in mine] if "prompt" in model.reads else None
        shown = [BLANK if (data := rows[row].picture) is None else data for row, _ in mine]
        told = model.predict(prompts, shown if "image" in model.reads else None)
        return [
            ScopeOpinion(
                scope,
                model.name,
                told.decided_by[place] if scope == model.scope else model.kind,
                float(told.unsafe[scope][place]),
                {name: float(chances[place]) for name, chances in told.categories[scope].items()},
                model.threshold if scope == model.scope else PLAIN,
            )
            for place, (_, scope) in enumerate(mine)
        ]


def verdict(opinions: Sequence[ScopeOpinion], policy: KeyPolicy) -> ServedVerdict:
    """The worst of the opinions, as far as the policy's categories reach."""
    scores: dict[str, float] = {}
    flags: dict[str, bool] = {}
    types: dict[str, tuple[str, ...]] = {}
    for opinion in opinions:
        usual = opinion.threshold if policy.threshold is None else policy.threshold
        for name, score in opinion.categories.items():
            if policy.categories and name not in policy.categories:
                continue
            flags[name] = flags.get(name, False) or score > policy.thresholds.get(name, usual)
            types[name] = tuple(dict.fromkeys((*types.get(name, ()), *TYPES[opinion.scope])))
            scores[name] = max(scores.get(name, 0.0), score)
    narrowed = bool(policy.categories)
    unsafe = max(scores.values(), default=0.0) if narrowed else max(opinion.unsafe for opinion in opinions)
    above = any(
        opinion.unsafe > (opinion.threshold if policy.threshold is None else policy.threshold) for opinion in opinions
    )
    own = any(flags[name] for name in policy.thresholds if name in flags)
    return ServedVerdict(
        any(flags.values()) if narrowed else above or own, unsafe, scores, flags, types, tuple(opinions)
    )
