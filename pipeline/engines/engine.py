"""The two engines by name. They differ in where units run, never in what comes out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.engines.progress import watched
from pipeline.plan import Plan
from pipeline.rounds.round import Round, pending
from pipeline.rounds.seal import sealing
from schemas.manifest import Receipt


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

    def carry_out(self, plan: Plan, round_: Round, what: str) -> None:
        """Run what is left of a round."""
        left = pending(round_)
        receipts = run_units(self.engine, self.workers, plan, round_, left)
        for _ in watched(receipts, round_.units, round_.units - len(left), what):
            pass
