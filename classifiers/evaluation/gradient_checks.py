"""Checks of a scorer that need the model itself: gradients that are there, decisions that agree, rows that do not mix."""

from collections.abc import Sequence
from typing import Any

import torch

from classifiers.data.labelled_sample import LabelledSample
from classifiers.evaluation.captures import Captures
from classifiers.evaluation.scoring import alike, decided_scope, inputs_of
from schemas.protocols import Differentiable
from stages.attack.pixel_attack import margins_of
from stages.attack.text.token_substitution import decision_aim
from stages.attack.victim import Victim, at_rest

TOLERANCE = 1e-4  # of a probability: a row alone and in company may be summed in another order


def gradient_checks(
    scorer: Differentiable, cases: Sequence[LabelledSample], dataset: str, kept: Captures | None = None
) -> list[dict[str, Any]]:
    """As rows of sanity.sql: zero gradients, decisions of logits and scores, a row alone and in company."""
    part = next(alike(cases))
    inputs, scope = inputs_of(part, kept), decided_scope(scorer)
    checks: list[tuple[str, float, bool]] = []
    with at_rest(scorer):
        with torch.no_grad():
            logits, scores = scorer.logits(inputs), scorer.score(inputs).unsafe[scope]
            alone = torch.cat([scorer.score(inputs.rows([row])).unsafe[scope] for row in range(len(part))])
        agree = ((logits[:, 1] > logits[:, 0]) == (scores > scorer.threshold)).float().mean()
        checks.append(("logits and scores decide alike", float(agree), float(agree) == 1.0))
        apart = float((alone - scores).abs().max())
        checks.append(("a row alone scores as in company", apart, apart < TOLERANCE))
        if "image" in scorer.coverage.reads and inputs.pixels is not None:
            victim = Victim(margins_of(scorer, inputs), inputs.pixels, torch.ones(len(part)).long())
            victim.gradient(victim.clean, victim.all_rows())
            checks.append(
                (
                    "share of zero gradients of pixels",
                    victim.zero_gradient_rows / len(part),
                    victim.zero_gradient_rows == 0,
                )
            )
        if "prompt" in scorer.coverage.reads:
            flat = sum(_is_flat(scorer, inputs.rows([row])) for row in range(len(part)))
            checks.append(("share of zero gradients of words", flat / len(part), flat == 0))
    facts = {"dataset": dataset, "scorer": scorer.name, "n": len(part)}
    return [{**facts, "name": name, "holds": holds, "found": value} for name, value, holds in checks]


def _is_flat(scorer: Differentiable, row: Any) -> bool:
    text = row.prompts[0]
    total = float(decision_aim(scorer, row, 1).slope(text, scorer.encode([text])).abs().sum())
    return not total > 0
