"""The two engines by name. They differ in where units run, never in what comes out."""

from collections.abc import Iterator, Sequence

from pipeline.plan import Plan
from pipeline.round import Round
from schemas.manifest import Receipt


def run_units(engine: str, workers: int | None, plan: Plan, round_: Round, units: Sequence[int]) -> Iterator[Receipt]:
    """Carry out `units` of the round under `engine` ("local" or "ray"); nothing is started for no units."""
    if not units:
        return iter(())
    if engine == "local":
        from pipeline.local import run

        return run(plan, round_, units)
    from pipeline.ray_engine import RayEngine

    return RayEngine(workers).run(plan, round_, units)
