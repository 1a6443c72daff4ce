"""`--guard` puts trained classifiers around a recipe's model, by what they read; what they refuse is dropped."""

from dataclasses import replace
from pathlib import Path

import pytest

from classifiers.saved import Saved
from jobs.recipes.guards import guard_folders
from jobs.recipes.named import recipe_of
from schemas.errors import InputError
from schemas.prompt import Prompt
from schemas.run import RunConfig
from schemas.sample import Sample
from stages.generate.diffusion import Diffusion
from stages.generate.guarded_diffusion import GuardedDiffusion

PROBE = str(Path("assets/world/linear_probe").resolve())
CONFIG = RunConfig("run", guard=PROBE)


def test_a_guard_stands_where_what_it_reads_is_known() -> None:
    recipe = recipe_of(CONFIG)
    [stage] = [stage for stage in recipe.stages if isinstance(stage, Diffusion)]
    assert isinstance(stage, GuardedDiffusion) and stage.filters == {"image": Saved(PROBE)}
    plain = next(stage for stage in recipe_of(replace(CONFIG, guard=None)).stages if isinstance(stage, Diffusion))
    assert (stage.model, stage.steps, stage.name) == (plain.model, plain.steps, plain.name)
    assert stage.describe()["image"] == Saved(PROBE).digest(), "another place of the same weights is the same plan"
    assert all(isinstance(stage, GuardedDiffusion) for stage in recipe.redraw)


def test_what_the_guard_flags_is_dropped() -> None:
    [stage] = [stage for stage in recipe_of(CONFIG).stages if isinstance(stage, GuardedDiffusion)]
    prompts = ("a red apple on a blue background", "a pistol", "a dog")
    samples = [Sample.from_prompt(Prompt(text), 0).with_(batch_row=row) for row, text in enumerate(prompts)]
    passed = list(replace(stage, batch_size=3).open()(samples))
    assert [sample.prompt for sample in passed] == [prompts[0], prompts[2]]


def test_guards_that_cannot_be_placed_are_refused() -> None:
    with pytest.raises(InputError, match=r"no classifier in \['nowhere'\]"):
        guard_folders("assets/world/linear_probe,nowhere")
    assert guard_folders("assets/world/linear_probe") == PROBE
    with pytest.raises(InputError, match="are image guards; give one each"):
        recipe_of(replace(CONFIG, guard=f"{PROBE},{PROBE}"))
    with pytest.raises(InputError, match="recipe render draws with no single diffusion model"):
        recipe_of(replace(CONFIG, recipe="render"))
