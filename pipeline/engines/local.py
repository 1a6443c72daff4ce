"""The reference engine: one process, units in order. The other engine must give the same files."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from pipeline.engines.stop_signals import finish_first, grace_left
from pipeline.engines.worker import GroupWorker
from pipeline.plan import Plan
from pipeline.rounds.round import Round
from pipeline.rounds.unit_state import UnitState
from schemas.manifest import Receipt

UNITS_IN_FLIGHT = 2
"""Units that may wait for their encoding and commit while the next is computed; bounds memory to that many."""


def run(plan: Plan, round_: Round, units: Sequence[int]) -> Iterator[Receipt]:
    """Carry out `units`, yielding each receipt once it is on disk.

    Stages up to the last that wants an accelerator run here; those behind it (encoding, say) and the commit run in one other
    thread, off the critical path. Where none wants one, all stages run here.
    """
    wanting = [index for index, stage in enumerate(plan.stages) if stage.resources.accelerator]
    cut = wanting[-1] + 1 if wanting else len(plan.stages)
    head = GroupWorker(round_, plan.stages[:cut], 0)
    tail = GroupWorker(round_, plan.stages[cut:], cut)

    def finish(state: UnitState) -> Receipt:
        return tail.commit(tail.run(state))

    with ThreadPoolExecutor(1, thread_name_prefix="commit") as thread:
        waiting: list[Future[Receipt]] = []
        try:
            for unit in units:
                with finish_first():
                    waiting.append(thread.submit(finish, head.run(round_.load(unit))))
                while len(waiting) > UNITS_IN_FLIGHT or (waiting and waiting[0].done()):
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        finally:
            wait(waiting, timeout=grace_left())  # none, unless a signal ends us
            for future in waiting:
                future.cancel()
