"""The reference engine: one process, units in order. The other engine must give the same files."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from pipeline.plan import Plan
from pipeline.round import Round
from pipeline.unit import UnitState
from pipeline.worker import GroupWorker
from schemas.manifest import Receipt

UNITS_IN_FLIGHT = 2
"""Units that may wait for their encoding and commit while the next is computed; bounds memory to that many."""


def run(plan: Plan, round_: Round, units: Sequence[int]) -> Iterator[Receipt]:
    """Carry out `units`, yielding each receipt once it is on disk.

    The first group runs here; later groups and the commit run in one other thread, off the critical path.
    """
    head, *tail = [
        GroupWorker(round_, [plan.stages[index] for index in group], group.start)
        for group in plan.groups(accelerators=_has_accelerator())
    ]

    def finish(state: UnitState) -> Receipt:
        for worker in tail:
            state = worker.run(state)
        return head.commit(state)

    with ThreadPoolExecutor(1, thread_name_prefix="commit") as thread:
        waiting: list[Future[Receipt]] = []
        try:
            for unit in units:
                waiting.append(thread.submit(finish, head.run(round_.load(unit))))
                while len(waiting) > UNITS_IN_FLIGHT or (waiting and waiting[0].done()):
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()


def _has_accelerator() -> bool:
    import torch

    return bool(torch.accelerator.is_available())
