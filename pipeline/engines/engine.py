"""The two engines by name. They differ in where units run, never in what comes out."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pipeline.engines.progress import watched
from pipeline.engines.stop_signals import note_standing
from pipeline.plan import Plan
from pipeline.rounds.round import Round, pending
from pipeline.rounds.seal import sealing
from schemas.manifest import Receipt

_log = logging.getLogger("hazmat")


def run_units(engine: str, workers: int | None, plan: Plan, round_: Round, units: Sequence[int]) -> Iterator[Receipt]:
    """Carry out `units` of the round under `engine` ("local" or "ray"), then seal it; nothing is started for no units."""
    return sealing(round_, units, _receipts(engine, workers, plan, round_, units))


def _receipts(engine: str, workers: int | None, plan: Plan, round_: Round, units: Sequence[int]) -> Iterator[Receipt]:
    if not units:
        return iter(())
    if engine == "local":
        from pipeline.engines.local import run

        return run(plan, round_, units)
    from pipeline.engines.ray_engine import RayEngine

    return RayEngine(workers).run(plan, round_, units)


@dataclass(frozen=True)
class EngineOptions:
    """Where units run."""

    engine: str = "local"
    workers: int | None = None

    def carry_out(
        self, plan: Plan, round_: Round, what: str, on_first: Callable[[], None] = lambda: None
    ) -> list[Receipt]:
        """Run what is left of a round; the receipts of what was done now. `on_first` is called once one is done."""
        left = pending(round_)
        done = round_.units - len(left)
        receipts: list[Receipt] = []

        def standing(left: int) -> str:
            return f"{round_.units - left} of {round_.units} units are committed in {round_.store.url}/{round_.folder}"

        note_standing(standing(len(left)), lambda: standing(len(pending(round_))))
        for receipt in watched(run_units(self.engine, self.workers, plan, round_, left), round_.units, done, what):
            receipts.append(receipt)
            if len(receipts) == 1:
                on_first()
            note_standing(standing(round_.units - done - len(receipts)), lambda: standing(len(pending(round_))))
            _log.debug("%s", receipt)
        return receipts
