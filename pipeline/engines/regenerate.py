"""Make a committed sample's bytes again from its plan, and compare."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from pipeline.catalogue.duck import Connection
from pipeline.engines.attempts import Attempts
from pipeline.engines.unit import OpenStage, run_stage
from pipeline.recipe import Recipe
from pipeline.rounds.control_files import card, read_receipt
from pipeline.rounds.round import environment, stages_as_begun
from pipeline.rounds.rounds import reopen_round
from pipeline.stage import Stage
from pipeline.storage.local_store import LocalStore
from pipeline.storage.store import Store
from schemas.errors import HazmatError, InputError

GENERATE = "000-generate"


@dataclass(frozen=True, slots=True)
class Regenerated:
    """sha256 of the picture made now, and of the committed one."""

    sha256: str
    committed: str

    @property
    def same(self) -> bool:
        """Whether they are equal."""
        return self.sha256 == self.committed


def regenerate(con: Connection, store: Store, recipe: Recipe, key: str) -> Regenerated:
    """Run the sample's whole unit again (its place in the batch is part of how it was made) and write nothing.

    Raises InputError for an unknown key, for a round that other jobs made, or if the recipe or its weights have changed.
    """
    rows = con.execute("SELECT round, unit, parent, image_sha256 FROM samples WHERE key = ?", [key]).fetchall()
    if not rows:
        raise InputError(f"{store.url} holds no committed sample {key}")
    [(folder, unit, parent, committed)] = rows
    if folder != GENERATE:
        raise InputError(
            f"{key} was made by round {folder}; only {GENERATE} is made again here, so ask for its parent {parent}"
        )
    folder = f"rounds/{GENERATE}"
    _refuse_unmade(recipe.stages, key)
    stages = stages_as_begun(recipe.stages, card(store, folder)["stages"])
    _refuse_changed(store, folder, stages)
    state = reopen_round(store, folder, recipe.pack).load(unit)
    with tempfile.TemporaryDirectory(prefix="hazmat-again-") as scratch:
        attempts = Attempts(LocalStore(Path(scratch)), "again")
        for index, stage in enumerate(stages):
            run_stage(OpenStage(index, stage), state, attempts)
    digests = {sample.key: sample.image_sha256 for sample in state.samples}
    sha256 = digests.get(key)
    if sha256 is None:
        raise HazmatError(f"unit {unit} of {folder} gave {len(digests)} samples this time, and {key} is not among them")
    if sha256 != committed:
        _explain(store, folder, unit)
    return Regenerated(sha256, str(committed))


def _refuse_unmade(stages: tuple[Stage, ...], key: str) -> None:
    asked = [stage.name for stage in stages if stage.level == "L0"]
    if asked:
        raise InputError(
            f"{key}: {asked[0]} asked a service whose weights are unknown, so its bytes cannot be made again (level L0); what came "
            "back is kept, and jobs/verify.py proves that it is what was committed"
        )


def _refuse_changed(store: Store, folder: str, stages: tuple[Stage, ...]) -> None:
    recorded, now = card(store, folder)["stages"], [stage.describe() for stage in stages]
    if recorded != now:
        raise InputError(
            f"{store.url}/{folder} was made by other stages, settings or weights than this checkout has: what comes out now would "
            "be another picture. Check out the revision that made it; round.json has the digests of its weights."
        )


def _explain(store: Store, folder: str, unit: int) -> None:
    """Say what bytes may depend on beyond the plan, where it differs from the machine that committed the unit."""
    receipt = read_receipt(store, f"{folder}/receipts/unit-{unit:06d}.json")
    here = environment()
    unlike = [
        f"{name} {was}, here {here.get(name)}" for name, was in receipt.environment.items() if here.get(name) != was
    ]
    print("made with " + ("; ".join(unlike) if unlike else f"the same versions; level {receipt.level}"))
