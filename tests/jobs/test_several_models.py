"""Several generators in one run: shared out evenly over prompts, each drawn as alone, held out by name, killed and resumed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jobs import attack, generate, shards
from jobs.recipes.named import chosen, recipe_of
from pipeline.storage.weights import REPOSITORY
from schemas.distribution import Choice
from schemas.errors import InputError
from schemas.prompt import Prompt
from schemas.run import RunConfig
from schemas.sample import Sample
from stages.generate.choose_model import ChooseModel
from stages.generate.mixture import Mixture, Part
from stages.generate.replicate import Replicate
from tests.support.commands import call, parsed
from tests.support.drawing import directory, samples, tiny
from tests.support.runs import rows

TWO_TO_ONE = ChooseModel(models=Choice((("A", 2.0), ("B", 1.0))))


def models(batch: list[Sample]) -> list[str]:
    return [json.loads(sample.asked_settings or "{}")["model"] for sample in batch]


def prompts(count: int) -> list[Sample]:
    """Of two kinds, one rare."""
    return [
        Sample.from_prompt(Prompt(f"prompt {n}", category="rare" if n % 9 == 0 else "usual"), 0) for n in range(count)
    ]


def test_each_kind_of_prompts_is_shared_out_by_the_weights() -> None:
    units = [list(TWO_TO_ONE.open()(unit)) for unit in (prompts(900)[at : at + 60] for at in range(0, 900, 60))]
    made = [sample for unit in units for sample in unit]
    for kind in ("rare", "usual"):
        share = Counter(models([sample for sample in made if sample.category == kind]))
        assert abs(share["A"] / share.total() - 2 / 3) < (0.09 if kind == "rare" else 0.02)
    assert all(abs(Counter(models(unit))["A"] - 40) <= 3 for unit in units)
    assert models(list(TWO_TO_ONE.open()(prompts(60)[::-1]))) == models(units[0])[::-1]


def test_pictures_of_one_prompt_are_drawn_by_different_models() -> None:
    even = ChooseModel(models=Choice((("A", 1.0), ("B", 1.0))))
    pictures = list(even.open()(list(Replicate(images_per_prompt=2).open()(prompts(40)))))
    by_root = Counter(sample.root for sample in pictures if models([sample]) == ["A"])
    assert sum(count == 1 for count in by_root.values()) >= 30


def test_a_row_is_drawn_by_its_model_as_that_draws_alone(pipelines: Path) -> None:
    parts = tuple(Part(replace(tiny(pipelines, family), steps=1), 1.0) for family in ("sd1", "sdxl"))
    names = [getattr(part.generator, "model") for part in parts]  # noqa: B009
    batch = [
        sample.with_(asked_settings=json.dumps({"model": names[row % 2], "size": [48, 32]}))
        for row, sample in enumerate(samples(4))
    ]
    mixture = Mixture(parts=parts, batch_size=4)
    planned = list(mixture.batches(batch))
    assert [len(part) for part in planned] == [2, 2]
    step = mixture.open()
    for index, part in enumerate(planned):
        made = list(step(part))
        alone = list(replace(parts[index].generator, batch_size=4).open()(part))
        assert all(np.array_equal(one.pixels, other.pixels) for one, other in zip(made, alone, strict=True))  # type: ignore[arg-type]
        assert {sample.generator for sample in made} == {names[index]}


def several(pipelines: Path, **facts: object) -> RunConfig:
    given = [directory(pipelines, "sd1"), directory(pipelines, "sdxl")]
    return RunConfig("x", **{"recipe": "diffusion", "models": given, "restricted": True, **facts})  # type: ignore[arg-type]


def test_settings_go_to_all_models_and_a_held_out_one_has_its_test_set(pipelines: Path) -> None:
    config = several(pipelines, size="48x32,32x48", steps="1", model_weights=[3.0, 1.0])
    recipe = recipe_of(replace(config, held_out_model=(config.models or [])[1]))
    assert [stage.name for stage in recipe.stages][:3] == ["replicate", "vary_settings", "choose_model"]
    (mixture,) = [stage for stage in recipe.stages if isinstance(stage, Mixture)]
    assert {getattr(part.generator, "steps") for part in mixture.parts} == {1}  # noqa: B009
    assert mixture in recipe.redraw
    (held,) = recipe.sharding().rules.splits.held_out
    assert held.name == "generator:sdxl"


def test_what_does_not_fit_several_models_is_refused(pipelines: Path) -> None:
    config = several(pipelines)
    given = config.models or []
    for wrong, said in (
        ({"model_weights": [1.0]}, "--model-weight: 1 weights for 2 models"),
        ({"models": given[:1] * 2}, "a model is there twice"),
        ({"restricted": False}, "Add --restricted"),
        ({"held_out_model": "C"}, "--held-out-model C: expected one of"),
        ({"recipe": "pictogram"}, "recipe pictogram takes one model"),
        ({"models": None, "model": given[0], "held_out_model": "C"}, "--held-out-model: goes with several"),
    ):
        with pytest.raises(InputError, match=said):
            recipe_of(chosen(replace(config, **wrong)))  # type: ignore[arg-type]
    facts = parsed(
        generate, "--recipe", "diffusion", "--model", "A", "--model", "B", "--model-weight", "2"
    ).config.facts()  # type: ignore[attr-defined]
    assert (facts.model, facts.models, facts.model_weights) == (None, ["A", "B"], [2.0])


@pytest.mark.slow
def test_a_killed_run_of_three_generators_and_three_sizes_is_finished_to_the_same_bytes(
    pipelines: Path, tmp_path: Path
) -> None:
    given = [word for family in ("sd1", "sdxl", "sd3") for word in ("--model", directory(pipelines, family))]
    asked = [
        "--recipe",
        "diffusion",
        "--restricted",
        *given,
        "--held-out-model",
        given[5],
        "--count",
        "72",
        "--steps",
        "1",
    ]
    asked += ["--size", "32x32,48x32,32x48", "--engine", "local", "--json"]
    command = [sys.executable, str(REPOSITORY / "jobs/generate.py"), "--out", str(tmp_path / "run"), *asked]
    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    receipts = tmp_path / "run/rounds/000-generate/receipts"
    while killed.poll() is None and not list(receipts.glob("*.json")):
        time.sleep(0.02)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert call(generate, *command[2:]) == 0
    assert call(generate, "--out", tmp_path / "whole", *asked) == 0
    cards = [sorted((tmp_path / name / "rounds/000-generate/raw").glob("*")) for name in ("run", "whole")]
    assert [path.read_bytes() for path in cards[0]] == [path.read_bytes() for path in cards[1]]
    table = rows(tmp_path / "run").to_pylist()
    assert len({(row["generator"], row["width"], row["height"]) for row in table}) == 9
    assert call(attack, tmp_path / "run", "--attacks", "typos,recompress", "--samples", "8", "--engine", "local") == 0
    assert call(shards, tmp_path / "run", "--engine", "local") == 0
    splits = {row["split"] for row in shard_rows(tmp_path / "run") if row["generator"] == given[5]}
    assert splits <= {"test"}


def shard_rows(run: Path) -> list[dict[str, object]]:
    import duckdb

    found = duckdb.sql(f"SELECT * FROM '{run}/shards/*/*.parquet'").fetch_arrow_table()
    return list(found.to_pylist())
