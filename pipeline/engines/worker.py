"""What runs in a worker of either engine: a group of the plan's stages, and the commit at the end of the last group."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.engines.attempts import Attempts
from pipeline.engines.unit import OpenStage, run_stage
from pipeline.rounds.round import Round
from pipeline.rounds.unit_state import UnitState
from pipeline.stage import Stage
from schemas.manifest import Receipt


@dataclass
class GroupWorker:
    """Stages [first, first + len(stages)) of a round's plan, opened once and used for unit after unit."""

    round: Round
    stages: Sequence[Stage]
    first: int
    opened: list[OpenStage] = field(init=False)

    def __post_init__(self) -> None:
        one_thread()
        self.opened = [OpenStage(self.first + offset, stage) for offset, stage in enumerate(self.stages)]
        self.attempts = Attempts(self.round.store, self.round.folder)

    def run(self, state: UnitState) -> UnitState:
        """Put the unit through this group's stages."""
        for opened in self.opened:
            run_stage(opened, state, self.attempts)
        return state

    def commit(self, state: UnitState) -> Receipt:
        """Commit the finished unit."""
        return self.round.commit(state)


def one_thread() -> None:
    """One torch thread a worker: same bytes everywhere, and no stalls when cores are shared (15x, PACKAGES.md part 3)."""
    import torch

    torch.set_num_threads(1)
