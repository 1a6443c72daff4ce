"""What there is to do: every scorer on every row as it is, with prompts shuffled, and under every trial, in chunks."""

import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread

from classifiers.data.labelled_sample import LabelledSample
from classifiers.evaluation.attack_suite import Trial
from classifiers.evaluation.captures import judged_by
from classifiers.evaluation.results import Chunk, fingerprint, remove_stale
from classifiers.evaluation.worker import SHUFFLED, Task, carry_out
from classifiers.saved import Saved
from pipeline.engines.stop_signals import Stopped, end_children, finish_first
from pipeline.rounds.existing_run import taxonomy_of
from pipeline.storage.open_store import open_store
from pipeline.storage.store import Store
from schemas.catalogue import SPLITS
from schemas.code_digest import code_digest
from schemas.protocols import Coverage
from schemas.taxonomy import Taxonomy
from stages.attack.pixel_attack import PixelAttack
from stages.label.by_name import labellers_of

CLEAN_CHUNK, ATTACKED_CHUNK = 512, 64  # rows: some ten seconds of work either way, so that a kill costs little
SLOW_CHUNK = 8  # rows of an attack that goes row by row, seconds each
IN_DISTRIBUTION = ("test", "val")  # held-out sets are judged clean: an attack on them would mix two shifts


@dataclass(frozen=True)
class EvaluationConfig:
    """What one call of the command asks for."""

    store: Store
    private: bool
    data: str
    scorers: tuple[tuple[Saved, Coverage], ...]
    trials: tuple[Trial, ...]
    judges: str
    held_out: frozenset[str]

    @property
    def dataset(self) -> str:
        """The folder below results/."""
        name = Path(self.data).resolve().name
        return self.data if self.data in SPLITS else f"folder-{name}" if name in SPLITS else name


def tasks_of(config: EvaluationConfig, cases: Sequence[LabelledSample]) -> list[Task]:
    """All of them, done or not. Raises InputError for a scorer that reads what no row has."""
    tasks: list[Task] = []
    for saved, coverage in config.scorers:
        first, rows = _blank(config, saved), judged_by(config.store, coverage, cases)
        clean = [case for case in rows if case.sample.clean]
        tasks += _cut(first, "none", rows, CLEAN_CHUNK)
        if "prompt" in coverage.reads:
            tasks += _cut(replace(first, shuffle=True), SHUFFLED, clean, CLEAN_CHUNK)
        for trial in config.trials:
            if trial.concerns(coverage) and trial.source != saved:
                chosen = attacked_rows(clean, trial.limits)
                by_row = trial.adaptive and not isinstance(trial.attack, PixelAttack)
                size = SLOW_CHUNK if by_row else ATTACKED_CHUNK
                tasks += _cut(replace(first, trial=trial), trial.name, chosen, size)
    return tasks


def attacked_rows(clean: Sequence[LabelledSample], limits: tuple[int, int]) -> list[LabelledSample]:
    """The first so many unsafe and safe ones by key: keys are hashes, so that is a random choice, the same for every scorer."""
    near = sorted((case for case in clean if case.test_set in IN_DISTRIBUTION), key=lambda case: case.sample.key)
    return [
        case
        for label, limit in zip(("unsafe", "safe"), limits, strict=True)
        for case in [case for case in near if case.overall.label == label][:limit]
    ]


def _blank(config: EvaluationConfig, saved: Saved) -> Task:
    nowhere = Chunk(config.dataset, Path(saved.folder).name, "", 0, "")
    return Task(
        config.store.url, config.private, config.data, saved, nowhere, (), None, False, config.judges, config.held_out
    )


def _cut(task: Task, attack: str, cases: Sequence[LabelledSample], size: int) -> Iterator[Task]:
    settings = task.trial.settings() if task.trial else {}
    for number, first in enumerate(range(0, len(cases), size)):
        part = cases[first : first + size]
        rows = [_identity(case) for case in part]
        scorer, judged_by = (
            (task.scorer.digest(), task.scorer.code()),
            _judges(task.judges, taxonomy_of(open_store(task.run))),
        )
        of = fingerprint(rows, scorer, settings, judged_by, sorted(task.held_out))
        chunk = replace(task.chunk, attack=attack, number=number, fingerprint=of)
        yield replace(task, chunk=chunk, keys=tuple(case.sample.key for case in part))


def _identity(case: LabelledSample) -> list[str | None]:
    """Of what is judged: by content, since a file of somebody's folder may be replaced under its name."""
    sample = case.sample
    return [
        sample.key,
        sample.image_sha256,
        sample.prompt,
        *(f"{scope} {truth}" for scope, truth in case.truth.items()),
    ]


@lru_cache
def _judges(names: str, taxonomy: Taxonomy) -> list[tuple[dict[str, str], str]]:
    """What `--judges` are: settings, weights and code."""
    return [(each.describe(), code_digest(type(each))) for each in (labellers_of(names, taxonomy) if names else ())]


def carry_out_all(store: Store, tasks: Sequence[Task], workers: int) -> Iterator[Task]:
    """What is not done yet, in processes of their own; each as it is finished. Leftovers of other settings go."""
    remove_stale(store, [task.chunk for task in tasks])
    left = [task for task in tasks if not task.chunk.done(store)]
    if workers == 1 or len(left) < 2:
        for task in left:
            carry_out(task)
            yield task
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=end_with_the_parent) as pool:
        done = pool.map(carry_out, left)
        try:
            for task in left:
                with finish_first(drain=True):
                    next(done)
                yield task
        except Stopped:
            end_children()  # or the pool would wait for what they are at
            raise


def end_with_the_parent() -> None:
    """Watch for the death of who started this worker: a pool's workers outlive a killed parent, and wait for ever.

    Ctrl-C and a closed terminal reach every process of the command; only its first one answers.
    """
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    parent = parent_process()

    def watch() -> None:
        assert parent is not None
        parent.join()
        os._exit(1)

    if parent is not None:
        Thread(target=watch, daemon=True).start()
