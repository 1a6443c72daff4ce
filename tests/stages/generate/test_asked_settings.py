"""Settings asked for on the command line reach the picture, and the row says what was used."""

from dataclasses import replace
from pathlib import Path

import pytest

from jobs.recipes.named import recipe_of
from schemas.errors import InputError
from schemas.generation import lora_and_weight, size_of
from schemas.run import RunConfig
from stages.generate.diffusion import Diffusion
from tests.stages.generate.test_generators import lora
from tests.support.drawing import drawn, samples, tiny


def asked(config: RunConfig) -> Diffusion:
    """The stage of the recipe's plan that draws."""
    recipe = recipe_of(config)
    (found,) = [stage for stage in recipe.stages if isinstance(stage, Diffusion)]
    assert found in recipe.redraw
    return found


def test_what_is_asked_for_replaces_the_recipes_own() -> None:
    own = asked(RunConfig("x"))
    stage = asked(RunConfig("x", steps=3, guidance_scale=1.5, size="64x32", scheduler="dpm", negative_prompt="a dog"))
    assert (own.steps, own.size) == (10, None)
    assert (stage.steps, stage.guidance_scale, stage.size) == (3, 1.5, (64, 32))
    assert (stage.scheduler, stage.negative_prompt) == ("dpm", "a dog")


def test_a_picture_need_not_be_square_and_its_row_says_what_was_used(pipelines: Path) -> None:
    stage = replace(tiny(pipelines, "sd1"), size=(48, 32), negative_prompt="a cat", scheduler="EulerDiscreteScheduler")
    made = list(stage.open()(samples()))
    assert {sample.pixels.shape for sample in made if sample.pixels is not None} == {(32, 48, 3)}
    assert {(row.negative_prompt, row.scheduler, row.steps) for row in made} == {("a cat", "EulerDiscreteScheduler", 2)}
    assert drawn(stage, samples()) != drawn(replace(stage, negative_prompt=None), samples())
    assert drawn(stage, samples()[1:2]) == drawn(stage, samples())[1:2]


def test_loras_add_up_by_their_weights(pipelines: Path, tmp_path: Path) -> None:
    base = replace(tiny(pipelines, "sdxl"), steps=1)
    file = str(lora(pipelines, tmp_path))
    whole = drawn(replace(base, loras=(file,)), samples())
    assert whole == drawn(replace(base, lora=file), samples())
    assert len({tuple(whole), tuple(drawn(replace(base, loras=(f"{file}:0.5",)), samples()))}) == 2
    assert replace(base, loras=(f"{file}:0.5", file)).open()


def test_a_precision_is_the_weights(pipelines: Path) -> None:
    stage = replace(tiny(pipelines, "sd1"), steps=1)
    assert drawn(replace(stage, dtype="bfloat16"), samples()) != drawn(stage, samples())


@pytest.mark.parametrize("text", ["", "x", "12x", "1024x768x3", "-4x8"])
def test_a_size_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected WIDTHxHEIGHT"):
        size_of(text)


def test_a_lora_has_a_weight_behind_the_last_colon() -> None:
    assert lora_and_weight("a.safetensors") == ("a.safetensors", 1.0)
    assert lora_and_weight("C:/a.safetensors:-0.5") == ("C:/a.safetensors", -0.5)
    with pytest.raises(InputError, match="beyond 10"):
        lora_and_weight("a.safetensors:11")


def test_what_cannot_be_used_is_said_before_loading(pipelines: Path) -> None:
    with pytest.raises(InputError, match=r"true_cfg_scale 4\.0: a StableDiffusionPipeline takes none"):
        replace(tiny(pipelines, "sd1"), true_cfg_scale=4.0).revision()
    with pytest.raises(InputError, match="--steps, --lora: recipe render has no single"):
        recipe_of(RunConfig("x", recipe="render", steps=4, lora=["a.safetensors"]))
    for wrong in ({"guidance_scale": -1.0}, {"dtype": "int4"}, {"steps": 0}):
        with pytest.raises(InputError, match="--"):
            recipe_of(RunConfig("x", **wrong))  # type: ignore[arg-type]
