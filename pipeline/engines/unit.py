"""Carry one unit through stages: fixed batches, bisection of a failing one, isolation of what kills its process.

One bad sample costs one sample (DESIGN 3.4). Batches are cut here and never cross a unit, so bytes do not depend on the engine.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NoReturn

import numpy as np

from pipeline.engines.attempts import Attempts
from pipeline.engines.isolation import Killed, isolated
from pipeline.rounds.unit_state import UnitState
from pipeline.stage import BadSamplesError, Stage, Step, least, placed
from schemas.errors import HazmatError
from schemas.manifest import StageCount
from schemas.quarantine import QuarantineRow
from schemas.sample import Sample

ALL_FAIL_MINIMUM = 4
"""If a stage fails on every sample of a unit of at least this many, the stage is broken, not the samples."""
MESSAGE_LIMIT = 500  # characters of an error kept in the quarantine table


class BrokenStageError(HazmatError):
    """A stage failed on every sample of a unit: going on would quarantine the whole run."""


@dataclass(slots=True)
class OpenStage:
    """A stage of the plan with its live step, opened on first use."""

    index: int
    stage: Stage
    opening: float = 0.0  # seconds that loading took, until a unit is told of it
    _step: Step | None = None

    @property
    def step(self) -> Step:
        """The live step. Raises HazmatError if it cannot be opened: that is never a sample's fault."""
        if self._step is None:
            start = time.perf_counter()
            try:
                self._step = self.stage.open()
            except HazmatError:
                raise
            except Exception as error:
                raise HazmatError(f"{self.stage!r} cannot be opened: {type(error).__name__}: {error}") from error
            self.opening = time.perf_counter() - start
        return self._step


@dataclass(slots=True)
class _Outcome:
    """What became of a batch, or of a part of it."""

    given: list[Sample] = field(default_factory=list)
    failed: list[tuple[Sample, str, str, str]] = field(default_factory=list)  # sample, how, error, message
    refused: list[Sample] = field(default_factory=list)
    dropped: int = 0
    level: str = "L1"

    def add(self, other: "_Outcome") -> None:
        self.given += other.given
        self.failed += other.failed
        self.refused += other.refused
        self.dropped += other.dropped
        self.level = least(self.level, other.level)


Finish = Callable[[], _Outcome]


def run_stage(opened: OpenStage, state: UnitState, attempts: Attempts) -> None:
    """Put `state` through one stage, in place. Raises BrokenStageError, or whatever `open` raises."""
    stage, taken = opened.stage, len(state.samples)
    suspects = attempts.suspects(state.unit, stage.name, opened.index)
    step = opened.step
    start = time.perf_counter()
    outcome = _Outcome(level=stage.level)
    under_way: list[tuple[int, Finish]] = []  # the batch that a device computes while the next is begun

    def note(number: int) -> None:
        attempts.note(state.unit, stage.name, opened.index, batch=number, suspects=suspects)

    for number, batch in enumerate(stage.batches(state.samples)):
        note(number)
        finish = partial(_run_isolated, stage, batch) if number in suspects else _begun(stage, step, batch)
        under_way.append((number, finish))
        while len(under_way) > stage.ahead:
            earlier, finish = under_way.pop(0)
            if earlier != number:
                note(earlier)
            outcome.add(finish())
    for number, finish in under_way:
        note(number)
        outcome.add(finish())
    attempts.clear(state.unit, stage.name, opened.index)
    _quarantine(state, stage, outcome, attempt=len(suspects) + 1)
    seconds = time.perf_counter() - start
    state.counts.append(
        StageCount(
            stage=stage.name,
            taken=taken,
            given=len(outcome.given),
            dropped=outcome.dropped,
            quarantined=len(outcome.failed),
            seconds=round(seconds, 4),
            refused=len(outcome.refused),
            opening=round(opened.opening, 4),
        )
    )
    opened.opening = 0.0
    state.samples = outcome.given
    state.refused += outcome.refused
    state.level = least(state.level, outcome.level)


def _begun(stage: Stage, step: Step, batch: Sequence[Sample]) -> Finish:
    """Begin a batch of a stage that works ahead; what finishes it raises what went wrong in beginning."""
    if not stage.ahead:
        return partial(_run_batch, stage, step, batch)
    try:
        made = step(batch)
    except Exception as error:
        return partial(_run_batch, stage, step, batch, partial(_raise, error))
    return partial(_run_batch, stage, step, batch, lambda: made)


def _raise(error: Exception) -> NoReturn:
    raise error


def _run_batch(
    stage: Stage, step: Step, batch: Sequence[Sample], begun: Callable[[], Iterable[Sample]] | None = None
) -> _Outcome:
    """Run a batch, or halve it until what fails stands alone. `begun` gives what the step made of it, if it was called before."""
    try:
        return _accept(batch, list(begun() if begun else step(batch)), stage)
    except BadSamplesError as error:
        bad = [sample for sample in batch if sample.key in error.reasons]
        if not bad:
            raise HazmatError(f"{stage.name} blames samples that are not in its batch: {error}") from error
        rest = [sample for sample in batch if sample.key not in error.reasons]
        outcome = _run_batch(stage, step, rest) if rest else _Outcome()
        outcome.failed += [(sample, "raised", "BadSamplesError", error.reasons[sample.key]) for sample in bad]
        return outcome
    except HazmatError:
        raise
    except Exception as error:
        if _is_out_of_memory(error) and stage.batch_size > 1:
            return _run_halved(stage, batch)
        if len(batch) == 1:
            return _Outcome(failed=[(batch[0], "raised", type(error).__name__, str(error))])
    middle = len(batch) // 2
    outcome = _run_batch(stage, step, batch[:middle])
    outcome.add(_run_batch(stage, step, batch[middle:]))
    return outcome


def _run_halved(stage: Stage, batch: Sequence[Sample]) -> _Outcome:
    """Memory ran out: half the planned shape. Bytes may differ from another machine's, so the unit says it is L2."""
    smaller = replace(stage, batch_size=max(1, stage.batch_size // 2))
    step = smaller.open()
    outcome = _Outcome(level="L2")
    for first in range(0, len(batch), smaller.batch_size):
        part = placed(batch[first : first + smaller.batch_size])
        outcome.add(_run_batch(smaller, step, part))
    return outcome


def _is_out_of_memory(error: Exception) -> bool:
    """MemoryError or torch's (matched by name: the pipeline does not import torch)."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


def _run_isolated(stage: Stage, batch: Sequence[Sample]) -> _Outcome:
    """An earlier process died in this batch: run its samples one by one in a child that may die too."""
    outcome = _Outcome()
    for sample, result in isolated(stage, batch):
        if isinstance(result, Killed):
            outcome.failed.append((sample, "killed", "ProcessDied", result.reason))
        elif isinstance(result, list):
            outcome.add(_accept([sample], result, stage))
        else:
            outcome.failed.append((sample, "raised", result.error, result.message))
    return outcome


def _accept(batch: Sequence[Sample], returned: list[Sample], stage: Stage) -> _Outcome:
    """Check what a step gave; refuse pictures that are not pictures, put aside what a generator refused, count what is gone."""
    outcome = _Outcome()
    for sample in returned:
        if sample.refused is not None:
            outcome.refused.append(sample)
            continue
        reason = _invalid(sample, stage)
        if reason is None:
            outcome.given.append(sample)
        else:
            outcome.failed.append((sample, "invalid", "InvalidOutput", reason))
    sources = {sample.key for sample in returned} | {sample.parent for sample in returned}
    outcome.dropped = sum(sample.key not in sources for sample in batch)
    return outcome


def _invalid(sample: Sample, stage: Stage) -> str | None:
    """Why `sample` cannot go on after `stage`, or None."""
    for name in stage.adds:
        if getattr(sample, name) is None and name in ("pixels", "encoded"):
            return f"{stage.name} promised {name} and gave none"
    pixels = sample.pixels
    if "pixels" in stage.adds and pixels is not None:
        if np.issubdtype(pixels.dtype, np.floating) and not np.isfinite(pixels).all():
            return "the picture holds NaN or infinite values"
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
            return f"the picture is {pixels.dtype} {pixels.shape}, expected uint8 [height, width, 3]"
    return None


def _quarantine(state: UnitState, stage: Stage, outcome: _Outcome, attempt: int) -> None:
    failed = outcome.failed
    if len(failed) >= ALL_FAIL_MINIMUM and not (outcome.given or outcome.dropped or outcome.refused):
        _, how, error, message = failed[0]
        raise BrokenStageError(
            f"{stage.name} failed on all {len(failed)} samples of unit {state.unit}; the first: {how}, {error}: "
            f"{message[:MESSAGE_LIMIT]}. Nothing of the unit was committed; mend the stage and run the same command."
        )
    for sample, how, error, message in failed:
        state.quarantine.append(
            QuarantineRow(
                key=sample.key,
                root=sample.root,
                parent=sample.parent,
                prompt=sample.prompt,
                generation_prompt=sample.generation_prompt,
                unit=state.unit,
                stage=stage.name,
                how=how,
                error=error,
                message=message[:MESSAGE_LIMIT],
                attempt=attempt,
            )
        )
