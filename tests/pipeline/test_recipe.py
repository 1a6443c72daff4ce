"""A recipe is a whole: a part that it lacks is said in words, and its redraw takes an attacked prompt as it is."""

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.recipes.named import recipe_of, recipes
from jobs.recipes.prompts import generating_plan
from pipeline.recipe import UNIT_SECONDS, Recipe, ShardRecipe, Without
from pipeline.rounds.round import as_begun, open_round
from pipeline.selection.keep import KeepRules
from pipeline.storage.open_store import open_store
from schemas.errors import InputError
from schemas.prompt import Prompt
from schemas.run import RunConfig
from schemas.sample import Sample
from stages.attack.variants import Variants
from stages.generate.diffusion import Diffusion
from stages.generate.mixture import Mixture, Part
from stages.generate.render import Render
from stages.generate.replicate import Replicate
from stages.prompts.distinct import Distinct
from stages.prompts.gated import Gated
from stages.prompts.rewrite import Rewrite
from tests.support.drawing import directory, tiny
from tests.support.tiny_pipelines import FAMILIES

OURS = sorted(recipes())


def recipe(name: str = "render") -> Recipe:
    """One of ours; those that draw with published weights are only described here, not loaded."""
    ready = name in ("render", "pictogram", "mixture")
    model = "assets/world/t2i" if name == "diffusion" else None
    return recipe_of(RunConfig(out="unused", recipe=name, restricted=not ready, model=model))


@pytest.mark.parametrize("part", ["shards", "judges", "wording"])
@pytest.mark.parametrize("nothing", [None, ()])
def test_a_part_that_is_not_there_has_to_be_said_in_words(part: str, nothing: object) -> None:
    with pytest.raises(InputError, match=rf"recipe render: {part} is .* Without\('…'\)"):
        replace(recipe(), **{part: nothing})
    with pytest.raises(InputError, match="say in words"):
        Without("  ")
    assert replace(recipe(), **{part: Without("as this test wants it")})


def test_without_rules_for_shards_there_are_none_instead_of_some_others() -> None:
    bare = replace(recipe(), shards=Without("its pictures are looked at and thrown away"))
    with pytest.raises(InputError, match="render has no rules for shards: its pictures are looked at"):
        bare.sharding()
    assert bare.held_out_attacks == frozenset() != recipe().held_out_attacks


def test_rules_that_hold_nothing_out_say_why() -> None:
    with pytest.raises(InputError, match="nothing_held_out"):
        ShardRecipe(stages=(), rules=KeepRules())
    assert ShardRecipe(stages=(), rules=KeepRules(), nothing_held_out=Without("no attack is known"))
    with pytest.raises(InputError, match="nothing_held_out"):
        replace(recipe().sharding(), nothing_held_out=Without("though something is"))


def test_a_redraw_that_writes_words_is_refused() -> None:
    with pytest.raises(InputError, match="rewrite in redraw writes words"):
        replace(recipe(), redraw=(Rewrite(), *recipe().redraw))


@pytest.mark.parametrize("name", OURS)
def test_each_of_ours_is_whole_and_its_redraw_only_draws(name: str) -> None:
    made = recipe(name)
    assert made.name == name and pickle.loads(pickle.dumps(made)) == made
    assert made.redraw and not any(
        isinstance(stage, Rewrite | Distinct | Gated | Replicate | Variants) for stage in made.redraw
    )
    assert "pixels" in {field for stage in made.redraw for field in stage.adds}
    assert made.plan((), seed=1).stages == made.stages and made.sharding().stages
    assert list(made.prompts)[:2] == list(made.prompts)[:2]


def test_units_of_a_slow_generator_are_small_and_stay_as_they_were_begun(pipelines: Path, tmp_path: Path) -> None:
    asked = RunConfig("unused", "diffusion", model=directory(pipelines, "sd1"), restricted=True)
    quick, slow = recipe_of(asked), recipe_of(replace(asked, steps=200, size="512x512"))
    seconds = slow.stages[-2].expected_seconds(True)
    assert quick.plan((), 0, on_cpu=True).unit_size == quick.unit_size and 1 < seconds < UNIT_SECONDS
    plan, cluster = slow.plan((), 0, on_cpu=True), slow.plan((), 0)
    assert seconds * plan.unit_size <= UNIT_SECONDS < seconds * 2 * (plan.unit_size + 1)
    assert [stage.batch_size <= plan.unit_size for stage in plan.stages if isinstance(stage, Diffusion)] == [True]
    assert cluster.stages == slow.stages and cluster.unit_size == slow.unit_size
    few = replace(slow, stages=(Replicate(images_per_prompt=4), *slow.stages[1:]))
    assert few.plan((), 0, on_cpu=True).unit_size == max(1, plan.unit_size // 4)

    items = [Sample.from_prompt(Prompt(f"{count} dogs"), 0) for count in range(9)]
    store = open_store(str(tmp_path))
    begun = open_round(store, "rounds/000-generate", slow.plan(items, 0, on_cpu=True))
    elsewhere = as_begun(store, "rounds/000-generate", slow.plan(items, 0))
    assert open_round(store, "rounds/000-generate", elsewhere).fingerprint == begun.fingerprint


def test_expected_seconds_are_those_that_were_measured_to_a_factor_of_three(pipelines: Path) -> None:
    embedded = Diffusion().expected_seconds(True)
    assert 0.25 / 3 < embedded < 0.25 * 3, "about a quarter of a second a picture on a core"
    for family in FAMILIES:
        stage = tiny(pipelines, family)
        assert stage.expected_seconds(True) > 100 * stage.expected_seconds(False) > 0, family
    assert Diffusion(model="nowhere").expected_seconds(True) == 0
    half = Mixture(parts=(Part(Diffusion(), 1), Part(Render(), 1)))
    assert half.expected_seconds(True) == embedded / 2


def test_units_are_cut_by_pictures_and_a_round_that_was_cut_otherwise_goes_on_as_it_was(tmp_path: Path) -> None:
    facts = RunConfig(out="unused", recipe="render", count=40, images_per_prompt=100, engine="local")
    plan = generating_plan(facts, recipe_of(facts))
    assert plan.unit_size == 2 and generating_plan(replace(facts, images_per_prompt=1), recipe()).unit_size == 256
    store = open_store(str(tmp_path))
    assert as_begun(store, "rounds/000-generate", plan) is plan
    earlier = open_round(store, "rounds/000-generate", replace(plan, unit_size=256))
    again = as_begun(store, "rounds/000-generate", plan)
    assert open_round(store, "rounds/000-generate", again).fingerprint == earlier.fingerprint
