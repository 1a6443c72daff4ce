"""A round of a run, opened: found again by its name and its plan, to be resumed, or begun."""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from pipeline.engines.engine import EngineOptions
from pipeline.pack import Pack
from pipeline.plan import Plan
from pipeline.rounds.round import AnotherPlanError, Round, as_begun, open_round
from pipeline.rounds.rounds import all_rounds, further_round
from pipeline.storage.store import Store
from schemas.manifest import Receipt


@dataclass(frozen=True)
class OpenedRound:
    """A round and the plan that it carries out."""

    round: Round
    plan: Plan

    def carry_out(self, engine: str, workers: int | None = None) -> list[Receipt]:
        """Do what is left; the receipts of what was done now."""
        return EngineOptions(engine, workers).carry_out(self.plan, self.round, self.round.folder.rpartition("/")[2])


def open_or_resume(store: Store, suffix: str, plan: Plan, pack_in: Callable[[str], Pack] | None = None) -> OpenedRound:
    """The round `rounds/NNN` + `suffix` of this very plan; `pack_in` gives the pack where it depends on the folder.

    It goes on with the units and batches that it was begun with, where earlier versions cut otherwise. A round of that name with
    another plan (other samples, weights or settings) stays as it is, and a further one is begun beside.
    """

    def opened(folder: str) -> OpenedRound:
        own = as_begun(store, folder, plan if pack_in is None else replace(plan, pack=pack_in(folder)))
        return OpenedRound(open_round(store, folder, own), own)

    for folder in all_rounds(store):
        if re.fullmatch(rf"rounds/\d+{re.escape(suffix)}", folder):
            with suppress(AnotherPlanError):
                return opened(folder)
    return opened(further_round(store, suffix))
