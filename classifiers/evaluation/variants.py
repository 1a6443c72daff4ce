"""Cases under attack: the variants of clean cases, each with its threat model and the truth that it then has."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import torch

from classifiers.data.labelled_sample import LabelledSample, ScopeTruth
from classifiers.evaluation.attack_suite import Trial
from classifiers.evaluation.scoring import Relabeller, alike, inputs_of, pixels_of
from schemas.attack import AttackRecord
from schemas.protocols import Differentiable
from schemas.sample import Pixels, Sample
from stages.attack.joint import Joint
from stages.attack.pixel_attack import PixelAttack
from stages.attack.text_attack import KeepsTruth, TextAttack

TruthOf = Callable[[LabelledSample], KeepsTruth]
Aimed = Callable[[int], Differentiable]
"""What rows of a label (1: unsafe) are attacked against: the judged scorer, or another one."""


@dataclass(frozen=True, eq=False)
class Variant:
    """A case as the scorer is to judge it. `record` is None where the attack found nothing to change: then it is the clean one."""

    case: LabelledSample
    clean: LabelledSample
    record: AttackRecord | None
    number: int = 0


def variants_of(
    trial: Trial, aimed_at: Aimed, cases: Sequence[LabelledSample], reread: Relabeller, keeps: TruthOf | None = None
) -> list[Variant]:
    """At least one a case, the prompt or picture changed and the truth read anew where the change may have touched it.

    The picture of an attacked prompt stays as it was: the attacker hands in both. Variants whose pictures are drawn anew are those
    that jobs/attack.py commits. `keeps` says of each case which words leave its truth as it is, where anybody can tell.
    """
    variants: list[Variant] = []
    for part in alike(cases):
        asks = trial.adaptive or isinstance(trial.attack, PixelAttack)
        variants += _against(trial, aimed_at, part, keeps) if asks else _blind(trial, part)
    return _with_truth(variants, reread)


def _against(
    trial: Trial, aimed_at: Aimed, cases: Sequence[LabelledSample], keeps: TruthOf | None
) -> Iterator[Variant]:
    """By the contract's `attack`: away from the truth, whatever the scorer says now. What changes words goes row by row."""
    by_row = keeps is not None and isinstance(trial.attack, TextAttack | Joint)
    for _, same in groupby(cases, key=lambda case: case.sample.key if by_row else case.overall.label):
        part = list(same)
        label = int(part[0].overall.label == "unsafe")
        attack: Any = trial.attack
        if keeps is not None and isinstance(attack, TextAttack | Joint):
            attack = replace(attack, keeps_truth=keeps(part[0]))
        inputs, labels = inputs_of(part), torch.full((len(part),), label)
        for number in range(trial.seeds):
            again = f" seed {number}" if number else ""
            attacked = attack.attack(aimed_at(label), inputs, labels, [case.sample.key + again for case in part])
            for row, case in enumerate(part):
                changed = _changed(case, attacked.inputs.prompts[row], pixels_of(attacked.inputs, row))
                yield Variant(changed, case, attacked.records[row], number)


def _blind(trial: Trial, cases: Sequence[LabelledSample]) -> Iterator[Variant]:
    """By the stage: what anybody could send without a look at the scorer."""
    children: dict[str, list[Sample]] = {}
    size = trial.attack.batch_size
    step = trial.attack.open()
    for first in range(0, len(cases), size):
        for child in step(
            [replace(case.sample, batch_row=batch_row) for batch_row, case in enumerate(cases[first : first + size])]
        ):
            children.setdefault(child.parent or "", []).append(child)
    for case in cases:
        some = children.get(case.sample.key, [])
        for number, child in enumerate(some):
            pixels = case.sample.pixels if isinstance(trial.attack, TextAttack) else child.pixels
            yield Variant(_changed(case, child.prompt, pixels), case, child.attack, number)
        if not some:
            yield Variant(case, case, None)


def _changed(case: LabelledSample, prompt: str, pixels: Pixels | None) -> LabelledSample:
    return replace(case, sample=replace(case.sample, prompt=prompt, pixels=pixels))


def _with_truth(variants: Sequence[Variant], reread: Relabeller) -> list[Variant]:
    """The parent's truth where the attack preserves it; else what labellers say who are no part of the defence."""
    doubtful = [row for row, variant in enumerate(variants) if variant.record and not variant.record.preserves]
    truths = dict(zip(doubtful, reread.truths([_to_reread(variants[row]) for row in doubtful]), strict=True))
    return [
        replace(variant, case=replace(variant.case, truth=_merged(variant, truths[row]))) if row in truths else variant
        for row, variant in enumerate(variants)
    ]


def _to_reread(variant: Variant) -> Sample:
    """Within a budget of pixels a picture shows what it showed, so the clean one is read, and its scene stands."""
    sample, record = variant.case.sample, variant.record
    assert record is not None
    if record.family == "text" or record.norm == "linf":
        return replace(sample, pixels=variant.clean.sample.pixels)
    return replace(sample, scene=None)


def _merged(variant: Variant, read: dict[str, ScopeTruth]) -> dict[str, ScopeTruth]:
    """A scope that the attack could not touch keeps its truth; one that was never judged is not judged now either."""
    record = variant.record
    assert record is not None
    kept = {"text": "image", "image": "prompt", "joint": "image"}[record.family]
    return {scope: truth if scope == kept else read[scope] for scope, truth in variant.clean.truth.items()}
