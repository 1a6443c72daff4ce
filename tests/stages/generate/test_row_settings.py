"""Rows have settings of their own: a prompt file's, or drawn from distributions; they share calls, and say what was used."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jobs.recipes.asked_settings import row_check
from jobs.recipes.named import recipe_of
from jobs.recipes.prompts import roots
from pipeline.stage import BadSamplesError
from schemas.distribution import Choice, Uniform
from schemas.errors import InputError
from schemas.run import RunConfig
from schemas.sample import Sample
from stages.generate.captured_diffusion import CapturedDiffusion
from stages.generate.vary_settings import VarySettings
from tests.stages.generate.test_generators import lora
from tests.support.drawing import drawn, samples, tiny
from tests.support.runs import carry_out, digest, plan_of, rows, texts


def asking(*settings: dict[str, object]) -> list[Sample]:
    """Samples whose rows set these."""
    pairs = zip(samples(len(settings)), settings, strict=True)
    return [sample.with_(asked_settings=json.dumps(asked) if asked else None) for sample, asked in pairs]


def test_each_row_is_drawn_as_if_its_settings_were_the_stages(pipelines: Path) -> None:
    stage = replace(tiny(pipelines, "sd1"), batch_size=5)
    batch = asking(
        {"size": [48, 32]}, {"guidance_scale": 8.0}, {}, {"steps": 1, "negative_prompt": "a cat"}, {"scheduler": "dpm"}
    )
    made = list(stage.open()(batch))
    assert [sample.key for sample in made] == [sample.key for sample in batch]
    alone = (
        replace(stage, size=(48, 32)),
        replace(stage, guidance_scale=8.0),
        stage,
        replace(stage, steps=1, negative_prompt="a cat"),
        replace(stage, scheduler="dpm"),
    )
    for own, sample, row in zip(alone, batch, made, strict=True):
        (expected,) = own.open()([sample.with_(asked_settings=None)])
        assert np.array_equal(row.pixels, expected.pixels)  # type: ignore[arg-type]
        for name in ("steps", "guidance_scale", "negative_prompt", "scheduler", "seed"):
            assert getattr(row, name) == getattr(expected, name), name


def test_a_rows_scheduler_is_made_of_the_models_own_whatever_was_drawn_before(pipelines: Path) -> None:
    stage = replace(tiny(pipelines, "sd1"), steps=4)  # 2 steps of Karras sigmas are those without
    batch = asking({"scheduler": "dpm"}, {"scheduler": "EulerDiscreteScheduler"}, {})
    made = [row.pixels for row in stage.open()(batch)]
    for row, schedule in enumerate(("dpm", "EulerDiscreteScheduler", None)):
        (own,) = replace(stage, scheduler=schedule).open()([batch[row].with_(asked_settings=None)])
        assert np.array_equal(own.pixels, made[row])  # type: ignore[arg-type]


@pytest.mark.parametrize("family", ["sd1", "sdxl", "sd3", "pixart"])
def test_a_call_takes_another_guidance_for_each_row(family: str, pipelines: Path) -> None:
    stage = tiny(pipelines, family)
    assert stage.weights().kind.family.guidance_by_row
    batch = asking({"guidance_scale": 2.0}, {"guidance_scale": 5.5}, {"guidance_scale": 8.25})
    (together,) = stage.batches(batch)
    made = list(stage.open()(together))
    for guidance, sample, row in zip((2.0, 5.5, 8.25), batch, made, strict=True):
        (own,) = replace(stage, guidance_scale=guidance).open()([sample.with_(asked_settings=None)])
        assert np.array_equal(row.pixels, own.pixels) and row.guidance_scale == guidance  # type: ignore[arg-type]


def test_a_rows_lora_precision_and_seed_are_its_own(pipelines: Path, tmp_path: Path) -> None:
    stage = replace(tiny(pipelines, "sdxl"), steps=1, batch_size=4)
    file = str(lora(pipelines, tmp_path))
    batch = asking({"loras": [file]}, {"dtype": "bfloat16"}, {}, {})
    batch[2] = batch[2].with_(seed=5)
    made = list(stage.open()(batch))
    for own, sample, row in zip(
        (replace(stage, loras=(file,)), replace(stage, dtype="bfloat16")), batch, made, strict=False
    ):
        (expected,) = own.open()([sample.with_(asked_settings=None)])
        assert np.array_equal(row.pixels, expected.pixels)  # type: ignore[arg-type]
    assert made[0].generator == f"{stage.model}+{file}" and made[1].dtype == "bfloat16" and made[2].seed == 5


def test_batches_of_several_sizes_are_full_and_small_ones_compute_few_rows(pipelines: Path) -> None:
    stage = replace(tiny(pipelines, "sd1"), batch_size=4)
    sizes = ([32, 32], [48, 32], [32, 48])
    unit = [sample for _ in range(3) for sample in asking(*({"size": size} for size in sizes))]
    batches = list(stage.batches(unit))
    assert [len(batch) for batch in batches] == [3, 3, 3]
    assert {sample.batch_rows for batch in batches for sample in batch} == {4}
    assert all(len({sample.asked_settings for sample in batch}) == 1 for batch in batches)
    (single,) = stage.batches(unit[:1])
    assert single[0].batch_rows == 1
    guided = asking(*({"guidance_scale": 2.0 + index} for index in range(4)))
    assert [len(batch) for batch in stage.batches(guided)] == [4]
    assert [sample.batch_rows for batch in stage.batches(samples(5)) for sample in batch] == [0] * 5


def test_a_run_of_drawn_settings_says_them_and_is_the_same_again(pipelines: Path, tmp_path: Path) -> None:
    vary = VarySettings(guidance_scale=Uniform(2.0, 9.0), size=Choice((((32, 32), 1), ((48, 32), 1), ((32, 48), 2))))
    stage = replace(tiny(pipelines, "sd1"), steps=1, batch_size=8)
    plan = plan_of(texts(16), vary, stage, images=2, unit_size=8)
    first = digest(carry_out(tmp_path / "one", plan))
    table = rows(tmp_path / "one").to_pylist()
    assert Counter((row["width"], row["height"]) for row in table).keys() == {(32, 32), (48, 32), (32, 48)}
    assert len({row["guidance_scale"] for row in table}) > 20
    assert all(row["guidance_scale"] == json.loads(row["asked_settings"])["guidance_scale"] for row in table)
    assert digest(carry_out(tmp_path / "two", plan)) == first


def test_a_row_that_asks_for_what_cannot_be_drawn_costs_itself(pipelines: Path) -> None:
    stage = tiny(pipelines, "sd1")
    batch = asking({"size": [30, 30]}, {}, {"true_cfg_scale": 2.0})
    with pytest.raises(BadSamplesError) as caught:
        list(stage.open()(batch))
    assert set(caught.value.reasons) == {batch[0].key, batch[2].key}
    assert "multiples of 8" in caught.value.reasons[batch[0].key]
    kept = CapturedDiffusion(model=stage.model, steps=2, size=32)
    with pytest.raises(InputError, match="steps 1: diffusion takes none of a row's own"):
        kept.check_row('{"steps":1}')


CSV = "prompt,steps,size,negative_prompt,nr\na dog,2,48x32,,7\na dog,3,,a cat,8\na red key,,,,9\n"


def test_a_prompt_files_columns_set_those_of_their_rows(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(CSV)
    config = RunConfig("x", prompts=str(tmp_path / "p.csv"), seed_column="nr", images_per_prompt=2)
    recipe = recipe_of(config)
    items = list(roots(config, recipe.prompts, row_check(recipe)))
    asked = [json.loads(item.asked_settings or "{}") for item in items]
    assert asked == [{"size": [48, 32], "steps": 2}, {"negative_prompt": "a cat", "steps": 3}, {}]
    assert len({item.key for item in items}) == 3  # the same words twice, drawn otherwise
    pictures = list(recipe.stages[0].open()(items))
    assert [one.seed for one in pictures] == [7, 8, 8, 9, 9, 10]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("a dog,x,,,1", "line 2: steps x: expected a whole number"),
        ("a dog,,31x32,,1", "row 1: size 31x32: .*multiples of 8"),
        ("a dog,,,,one", "line 2: seed one: expected a whole number"),
    ],
)
def test_a_row_with_a_setting_that_is_none_is_named_or_skipped(row: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(f"prompt,steps,size,negative_prompt,nr\n{row}\na cat,1,,,2\n")
    config = RunConfig("x", prompts=str(tmp_path / "p.csv"), seed_column="nr")
    with pytest.raises(InputError, match=said):
        list(roots(config, (), row_check(recipe_of(config))))
    items = roots(replace(config, skip_bad_rows=True), (), row_check(recipe_of(config)))
    assert len(list(items)) == 1 and items.left_out == {"malformed": 1}


def test_a_distribution_is_drawn_for_each_picture_of_a_recipe() -> None:
    recipe = recipe_of(RunConfig("x", guidance_scale="uniform(3, 9)", size="64x64,64x32:2", steps="4"))
    assert [stage.name for stage in recipe.stages] == ["replicate", "vary_settings", "diffusion", "encode"]
    with pytest.raises(InputError, match=r"^--size 30: .* multiples of 8"):
        recipe_of(RunConfig("x", size="64x64,30x30"))
    with pytest.raises(InputError, match="--size: recipe render has no single"):
        recipe_of(RunConfig("x", recipe="render", size="64x64,32x32"))


def test_pictures_of_a_variants_words_are_drawn_as_its_parents_were(pipelines: Path) -> None:
    stage = tiny(pipelines, "sd1")
    (parent,) = stage.open()(asking({"size": [48, 32]}))
    child = parent.derive("typos", 0, generation_prompt="a rde apple")
    (made,) = stage.open()([child])
    assert made.pixels is not None and made.pixels.shape == (32, 48, 3)
    assert drawn(stage, [child]) != drawn(stage, [parent])
