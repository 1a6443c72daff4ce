"""What one worker does: one chunk of cases, one scorer, one attack or none, and the rows of it written."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import torch

from classifiers.data.labelled_sample import LabelledSample
from classifiers.evaluation.attack_suite import Trial
from classifiers.evaluation.captures import kept_for
from classifiers.evaluation.cases import cases_of
from classifiers.evaluation.half_precision import HalfPrecision
from classifiers.evaluation.preserved_truth import keeps_truth
from classifiers.evaluation.results import Chunk, Result
from classifiers.evaluation.scoring import Relabeller, Verdict, decided_scope, verdicts
from classifiers.evaluation.transfer import NeverFooled
from classifiers.evaluation.variants import Aimed, Variant, variants_of
from classifiers.saved import Saved
from pipeline.rounds.existing_run import taxonomy_of
from pipeline.storage.open_store import open_store
from schemas.attack import AttackRecord
from schemas.catalogue import SCOPES, UNLABELLED
from schemas.protocols import Differentiable
from schemas.taxonomy import Taxonomy
from stages.label.by_name import labellers_of

SHUFFLED = "shuffled_prompts"
WORLD_READER = "prompt_truth"  # the judge whose reading tells which words keep a truth


@dataclass(frozen=True)
class Task:
    """`keys` of the rows, in order; `trial` None: as they are, or with prompts shuffled (`shuffle`)."""

    run: str
    private: bool
    data: str
    scorer: Saved
    chunk: Chunk
    keys: tuple[str, ...]
    trial: Trial | None = None
    shuffle: bool = False
    judges: str = ""
    held_out: frozenset[str] = frozenset()


def carry_out(task: Task) -> int:
    """Judge, write, and say how many rows."""
    torch.set_num_threads(1)
    store = open_store(task.run, private=task.private)
    cases = loaded_cases(task.run, task.data)
    chosen = [cases[key] for key in task.keys]
    scorer = loaded_scorer(task.scorer)
    if task.trial is not None:
        aimed_at = aim_of(task.trial, scorer)
        keeps = keeps_truth if WORLD_READER in task.judges.split(",") else None
        variants = variants_of(task.trial, aimed_at, chosen, judges(task.judges, taxonomy_of(store)), keeps)
    else:
        shown = shuffled(list(cases.values())) if task.shuffle else cases
        variants = [_as_it_is(shown[key], cases) for key in task.keys]
    kept = kept_for(task.run, scorer, task.private)
    judged = verdicts(scorer, [variant.case for variant in variants], kept)
    rows = [row_of(task, scorer, variant, verdict) for variant, verdict in zip(variants, judged, strict=True)]
    task.chunk.write(store, rows)
    return len(rows)


@lru_cache(maxsize=2)
def loaded_cases(run: str, data: str) -> dict[str, LabelledSample]:
    """By key, in the order of the shards."""
    return {case.sample.key: case for case in cases_of(open_store(run), data)}


@lru_cache(maxsize=4)
def loaded_scorer(saved: Saved) -> Differentiable:
    """Once a process."""
    return saved.load()


def aim_of(trial: Trial, scorer: Differentiable) -> Aimed:
    """What rows of each label are attacked against."""
    if trial.source is not None:
        return partial(surrogate, trial.source)
    return partial(HalfPrecision, scorer) if trial.half else lambda label: scorer


@lru_cache(maxsize=8)
def surrogate(saved: Saved, label: int) -> Differentiable:
    """Another scorer, to make attacks against that are to get past the judged one."""
    return NeverFooled(loaded_scorer(saved), label)


@lru_cache(maxsize=2)
def judges(names: str, taxonomy: Taxonomy) -> Relabeller:
    """Of `--labellers A,B`; nobody where there is none, so that what an attack may have changed is `na`."""
    return Relabeller(labellers_of(names, taxonomy) if names else ())


def shuffled(cases: Sequence[LabelledSample]) -> dict[str, LabelledSample]:
    """Each clean case with the prompt of another one: a random cycle, so that none keeps its own. Labels stay with the pictures."""
    clean = sorted((case for case in cases if case.sample.clean), key=lambda case: case.sample.key)
    random.Random(0).shuffle(clean)
    givers = [*clean[1:], *clean[:1]]
    return {
        case.sample.key: replace(case, sample=replace(case.sample, prompt=giver.sample.prompt))
        for case, giver in zip(clean, givers, strict=True)
    }


def _as_it_is(case: LabelledSample, cases: dict[str, LabelledSample]) -> Variant:
    """A committed variant's clean sample is its parent, if that is among the rows."""
    sample = case.sample
    return Variant(case, case if sample.clean else cases.get(sample.parent or "", case), sample.attack)


def row_of(task: Task, scorer: Differentiable, variant: Variant, verdict: Verdict) -> Result:
    """One row of the results."""
    case, clean, record, trial = variant.case, variant.clean, variant.record, task.trial
    sample, overall = case.sample, case.overall
    labels = {scope: case.truth[scope].label if scope in case.truth else UNLABELLED for scope in SCOPES}
    static = record is not None and trial is None
    attack = SHUFFLED if task.shuffle else trial.label if trial else record.name if record else "none"
    setting = "control" if task.shuffle else trial.setting if trial else "static" if static else "clean"
    family = trial.attack.family if trial else record.family if record else None
    return Result(
        key=sample.key,
        sample=clean.sample.key if sample.clean or clean is not case else sample.parent or sample.key,
        root=sample.root,
        dataset=task.chunk.dataset,
        test_set=case.test_set,
        source=sample.source,
        generator=sample.generator,
        style=case.style,
        language=sample.language,
        truncated=sample.truncated,
        prompt_label=labels["prompt"],
        image_label=labels["image"],
        pair_label=labels["pair"],
        label=overall.label,
        label_before=clean.overall.label,
        categories=list(overall.categories),
        scorer=scorer.name,
        scorer_digest=task.scorer.digest(),
        scope=decided_scope(scorer),
        score=verdict.score,
        threshold=scorer.threshold,
        flagged=verdict.flagged,
        claims=list(scorer.coverage.categories),
        category_scores=list(verdict.category_scores),
        attack=attack,
        setting=setting,
        variant=variant.number,
        family=family,
        heldout=bool({trial.attack.name if trial else attack, family} & task.held_out),
        protocol=_protocol(record) if static else trial.protocol if trial else None,
        epsilon=trial.epsilon if trial else record.epsilon if record else None,
        **_threat(record, setting),
    )


def _threat(record: AttackRecord | None, setting: str) -> dict[str, Any]:
    """What the record says, if there is one."""
    names = ("goal", "knowledge", "preserves", "distance", "edit_budget", "edits", "queries", "seed")
    known = {name: getattr(record, name, None) for name in names}
    return {**known, "knowledge": "transfer"} if setting == "transfer" else known


def _protocol(record: AttackRecord | None) -> str:
    """Of a committed variant, from what bounded it."""
    pixels, words = getattr(record, "norm", None) == "linf", getattr(record, "edit_budget", None) is not None
    return "+".join(name for name, bound in (("pixel_linf", pixels), ("text_edits", words)) if bound) or "unbounded"
