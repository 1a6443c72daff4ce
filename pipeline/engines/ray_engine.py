"""The distributed engine: Ray Data carries units, a block a unit, through one actor pool per group of stages.

The commit is ours (DESIGN 3.1): Ray Data's writers lose rows in a 1→N pipeline and leave torn files. Only this file and
ray_cluster import ray in the pipeline.
"""

import math
import pickle
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import ray
import ray.data
from ray.data import ActorPoolStrategy
from ray.exceptions import RayError
from ray.util.annotations import RayDeprecationWarning

from pipeline.engines.ray_cluster import _refuse_local_path, connect, disconnect
from pipeline.engines.stop_signals import finish_first
from pipeline.engines.worker import GroupWorker
from pipeline.plan import Plan
from pipeline.rounds.round import Round
from pipeline.rounds.unit_state import UnitState
from pipeline.stage import Stage
from schemas.errors import HazmatError
from schemas.manifest import Receipt

TASK_RETRIES = 8
"""Times a unit is tried again after its worker died. A sample that kills its process costs one (see isolation); the rest is
for machines that go away. Ray's own default is without end, so that a poison input would loop for ever."""


class _GroupActor:
    """One group of stages in a worker: a block that is one unit in, the same unit further on out.

    The last group commits, so what comes out of it is receipts. Ray Data calls the constructor in the worker.
    """

    def __init__(self, round_: Round, stages: Sequence[Stage], first: int, last: bool) -> None:
        self._worker = GroupWorker(round_, stages, first)
        self._last = last

    def __call__(self, block: dict[str, Any]) -> dict[str, Any]:
        if len(block["unit"]) != 1:
            raise HazmatError(f"a block held {len(block['unit'])} units; the plan's cut was not kept")
        unit = int(block["unit"][0])
        try:
            state = self._worker.round.load(unit) if "state" not in block else pickle.loads(block["state"][0])
            if isinstance(state, UnitState):
                state = self._worker.run(state)
                state = self._worker.commit(state) if self._last else state
        except HazmatError as error:  # travels as a result: through Ray's own channel it would lose its type
            state = error
        return {"unit": np.array([unit]), "state": np.array([pickle.dumps(state, protocol=5)], dtype=object)}


@dataclass(frozen=True)
class RayEngine:
    """Carry out units on the cluster this process was submitted to, or else on one started here.

    `workers` is the size of the pool that does the heavy work; None takes every accelerator, or every core but one.
    """

    workers: int | None = None

    def run(self, plan: Plan, round_: Round, units: Sequence[int]) -> Iterator[Receipt]:
        """Yield each receipt once it is committed, in the order of completion."""
        connect(self.workers or 1)
        resources = ray.cluster_resources()
        _refuse_local_path(round_.store.url)
        accelerators = int(resources.get("GPU", 0))
        workers = self.workers or accelerators or max(1, int(resources["CPU"]) - 1)
        groups = plan.groups(accelerators > 0)
        wanting = [any(plan.stages[index].resources.accelerator for index in group) for group in groups]
        # Actors must leave a share of the CPUs free: with all of them held, Ray Data waits for ever (PACKAGES.md part 1).
        cpus = min(1.0, round(0.8 * resources["CPU"] / (workers * len(groups)), 3))
        context = ray.data.DataContext.get_current()
        context.target_max_block_size = None  # a block stays one unit, whatever its size
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        dataset = ray.data.from_items([{"unit": unit} for unit in units], override_num_blocks=len(units))
        # Ray 2.60 deprecates passing these two by name and offers no other way yet; the version is pinned.
        bounded = {"max_restarts": -1, "max_task_retries": TASK_RETRIES}
        warnings.filterwarnings("ignore", category=RayDeprecationWarning, message=".*ray_remote_args.*")
        for number, group in enumerate(groups):
            stages = [plan.stages[index] for index in group]
            dataset = dataset.map_batches(
                _GroupActor,
                fn_constructor_args=(round_, stages, group.start, number == len(groups) - 1),
                batch_size=1,  # a unit; Ray Data takes no None for actors on accelerators
                batch_format="numpy",
                compute=ActorPoolStrategy(size=min(workers, len(units))),
                num_cpus=cpus,
                num_gpus=_share(accelerators, workers * sum(wanting)) if wanting[number] else None,
                **bounded,
            )
        try:
            rows = iter(dataset.iter_rows())
            while True:
                with finish_first(drain=True):
                    row = next(rows, None)
                if row is None:
                    return
                result = pickle.loads(row["state"])
                if isinstance(result, HazmatError):
                    raise result
                yield result
        except RayError as error:
            last_line = str(error).strip().splitlines()[-1]
            raise HazmatError(f"a Ray worker failed: {type(error).__name__}: {last_line}") from error
        finally:
            disconnect()  # or its late messages would land behind what the caller prints last


def _share(accelerators: int, actors: int) -> float | None:
    """The part of one accelerator that each of `actors` gets, so that all of them find a place; None where there is none.

    An actor sits on one accelerator: of two, three actors get halves, for two parts of two thirds do not fit on either. Ray
    counts in ten-thousandths, so the share is rounded down to them.
    """
    return 10_000 // math.ceil(actors / accelerators) / 10_000 if accelerators else None
