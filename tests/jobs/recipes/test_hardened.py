"""A recipe attacks while it generates: every variant is a row with a picture of its own, and the clean pairs are there too."""

from pathlib import Path

import numpy as np
import pytest

from jobs.recipes.hardened import IN_PIXELS, IN_WORDS
from jobs.recipes.named import recipe_of
from jobs.recipes.prompts import generating_plan
from jobs.recipes.sharding import PICTOGRAM_HELD_OUT
from pipeline.engines.engine import run_units
from pipeline.rounds.items import CommittedItems
from pipeline.rounds.round import open_round, pending, run_digest
from pipeline.storage.image_codec import decode
from pipeline.storage.open_store import open_store
from pipeline.storage.store import Store
from schemas.run import RunConfig
from schemas.sample import Sample

ROUND = "rounds/000-generate"


def carried_out(folder: Path) -> tuple[Store, str]:
    """Three prompts through the recipe; the run and its digest."""
    config = RunConfig(out=str(folder), recipe="hardened", count=3, engine="local", seed=2)
    plan, store = generating_plan(config, recipe_of(config)), open_store(str(folder))
    round_ = open_round(store, ROUND, plan)
    list(run_units("local", None, plan, round_, pending(round_)))
    return store, run_digest(list(round_.receipts()))


@pytest.mark.slow
def test_words_are_drawn_anew_pictures_are_changed_and_nothing_is_attacked_twice(tmp_path: Path) -> None:
    store, digest = carried_out(tmp_path / "run")
    samples = {sample.key: sample for sample in CommittedItems(store, [ROUND])}
    clean = [sample for sample in samples.values() if sample.clean]
    attacked = [sample for sample in samples.values() if not sample.clean]
    assert len(clean) == 3 and {s.attack.name for s in attacked if s.attack} == {
        a.name for a in (*IN_WORDS, *IN_PIXELS)
    }
    assert len(attacked) <= 3 * 5

    def picture(sample: Sample) -> np.ndarray:
        return decode(store.read_range(sample.tar or "", sample.tar_offset or 0, sample.tar_size or 0), "png")

    for child in attacked:
        parent = samples[child.parent or ""]
        assert parent.clean and child.root == parent.root and child.generator == parent.generator and child.attack
        assert not np.array_equal(picture(child), picture(parent))
        words = child.attack.family == "text"
        assert (child.prompt != parent.prompt) == words and (child.seed != parent.seed) == words, "drawn anew or not"
    assert carried_out(tmp_path / "again")[1] == digest


def test_it_trains_on_no_attack_that_the_shards_hold_out() -> None:
    held = {one.name for one in PICTOGRAM_HELD_OUT}
    recipe = recipe_of(RunConfig(out="unused", recipe="hardened"))
    assert recipe.sharding().rules.splits.held_out == PICTOGRAM_HELD_OUT
    assert not {f"attack:{attack.name}" for attack in (*IN_WORDS, *IN_PIXELS)} & held
