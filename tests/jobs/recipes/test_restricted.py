"""Recipes with weights from outside need --restricted, and leave the sexual category out unless finished pictures are checked."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import imagehash
import numpy as np
import pytest
from PIL import Image

from jobs.recipes.named import recipe_of, recipes
from jobs.recipes.published_weights import LIGHTNING
from jobs.recipes.restricted import guarded
from pipeline.plan import Plan
from pipeline.stage import BadSamplesError
from schemas.errors import InputError
from schemas.run import RunConfig
from schemas.sample import Sample
from stages.generate.finished_check import FinishedCheck, listed_by
from stages.generate.render import Render
from stages.image_io.encode import Encode
from stages.prompts.leave_out import LeaveOut
from stages.signature.hash_lists import read_hash_list
from tests.support.drawing import directory
from tests.support.runs import Texts, carry_out, rows
from tests.support.tiny_pipelines import save

OUTSIDE = ["sd15", "sdxl_turbo", "sdxl_lightning", "sd35", "flux"]
TEXTS = Texts(("a red apple", "a dog", "lipstick for a p0rno poster", "two keys"))


@pytest.fixture
def local(pipelines: Path, tmp_path: Path) -> Path:
    """A folder with tiny stand-ins for published weights; the SDXL has Lightning's file laid into it."""
    for family in ("sd1", "sdxl"):
        shutil.copytree(directory(pipelines, family), tmp_path / "local" / family)
    sdxl = tmp_path / "local" / "sdxl"
    shutil.copy(sdxl / "unet" / "diffusion_pytorch_model.safetensors", sdxl / LIGHTNING)
    return tmp_path / "local"


def config(recipe: str, **facts: object) -> RunConfig:
    return replace(RunConfig(out="unused", recipe=recipe), **facts)


def planned(config: RunConfig) -> Plan:
    return recipe_of(config).plan(TEXTS, config.seed)


def test_every_recipe_is_under_its_name_and_says_what_it_does() -> None:
    for name, recipe in recipes().items():
        assert recipe.__name__ == name and recipe.__doc__


@pytest.mark.parametrize("recipe", OUTSIDE)
def test_weights_from_outside_need_restricted(recipe: str) -> None:
    with pytest.raises(InputError, match="--restricted"):
        planned(config(recipe))
    stages = planned(config(recipe, restricted=True)).stages
    assert any(isinstance(stage, LeaveOut) for stage in stages)


@pytest.mark.parametrize("recipe", OUTSIDE)
def test_weights_that_are_nowhere_are_one_clear_error(recipe: str) -> None:
    plan = planned(config(recipe, restricted=True, model="/nowhere/at/all"))
    with pytest.raises(InputError, match="no such directory"):
        plan.describe()


@pytest.mark.parametrize(("recipe", "family"), [("sd15", "sd1"), ("sdxl_turbo", "sdxl"), ("sdxl_lightning", "sdxl")])
def test_a_local_directory_takes_the_place_of_the_hub(local: Path, tmp_path: Path, recipe: str, family: str) -> None:
    carry_out(tmp_path / "run", planned(config(recipe, restricted=True, model=str(local / family))))
    table = rows(tmp_path / "run")
    assert table.num_rows == 3, "the prompt with a sexual word is left out"
    assert set(table["width"].to_pylist()) == {32}


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "family"), [("sd35", "sd3"), ("flux", "flux")])
def test_recipes_of_transformers_plan_on_their_class(tmp_path: Path, recipe: str, family: str) -> None:
    plan = planned(config(recipe, restricted=True, model=str(save(family, tmp_path))))
    assert len(plan.describe()) == 4


def test_a_recipe_refuses_what_it_would_ignore() -> None:
    for recipe in ("pictogram", "render", "mixture"):
        with pytest.raises(InputError, match="--model"):
            planned(config(recipe, model="somewhere"))
    with pytest.raises(InputError, match="--hash-list"):
        planned(config("render", hash_list="list.txt"))


# the check of finished pictures


def hash_list(folder: Path, *pictures: np.ndarray) -> str:  # type: ignore[type-arg]
    file = folder / "hashes.txt"
    lines = [f"{imagehash.phash(Image.fromarray(picture))}  # a picture" for picture in pictures]
    file.write_text("\n".join(["# pHash, 64 bits", *lines, ""]))
    return str(file)


def operator_module(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An operator's check: nothing mostly red may be kept."""
    (folder / "operators_own.py").write_text(
        "def too_red(pictures):\n    return [p[..., 0].mean() > 1.5 * p[..., 2].mean() for p in pictures]\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "operators_own", raising=False)
    return "operators_own:too_red"


def drawn(*texts: str) -> list[Sample]:
    return list(Render().open()(list(Texts(texts))))


def test_only_both_check_and_list_keep_the_category(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check = operator_module(tmp_path, monkeypatch)
    listed = hash_list(tmp_path, np.zeros((8, 8, 3), np.uint8))
    both = config("diffusion", restricted=True, picture_check=check, hash_list=listed)
    assert guarded(both, Render()) == (Render(), FinishedCheck(check=check, hash_list=listed))
    assert guarded(config("diffusion"), Render()) == (Render(),)
    for wrong in (replace(both, hash_list=None), replace(both, picture_check=None), replace(both, restricted=False)):
        with pytest.raises(InputError, match="--picture-check"):
            guarded(wrong, Render())


def test_refused_pictures_leave_a_count_and_listed_ones_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check = operator_module(tmp_path, monkeypatch)
    texts = ("a dog on a plain blue background", "a cat on a plain red background", "a car on a plain blue background")
    dog, _, car = drawn(*texts)
    assert dog.pixels is not None and car.pixels is not None
    # The list holds a brighter copy of the car: nearly the same hash, other bytes.
    brighter = np.minimum(car.pixels.astype(int) + 20, 255).astype(np.uint8)
    stage = FinishedCheck(check=check, hash_list=hash_list(tmp_path, brighter))
    with pytest.raises(BadSamplesError) as raised:
        list(stage.open()(drawn(*texts)))
    assert raised.value.reasons == {car.key: "phash near an entry of the list of hashes"}
    plan = Plan((Render(), stage, Encode()), Texts(texts), unit_size=8, seed=0)
    (receipt,) = carry_out(tmp_path / "run", plan).receipts()
    assert [count.dropped for count in receipt.stages if count.stage == "finished_check"] == [1]
    assert rows(tmp_path / "run")["key"].to_pylist() == [dog.key]
    (row,) = rows(tmp_path / "run", "quarantine").to_pylist()
    assert row["key"] == car.key and "list of hashes" in row["message"]


def test_the_list_finds_copies_and_little_else(tmp_path: Path) -> None:
    pictures = [sample.pixels for sample in drawn("a dog", "a red apple", "two keys", "a house", "a moon", "a cat")]
    listed = read_hash_list(Path(hash_list(tmp_path, pictures[0])))  # type: ignore[arg-type]
    found = [listed_by(picture, listed) for picture in pictures if picture is not None]
    assert found == ["phash", None, None, None, None, None]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds none"),
        ("abc\n", "line 1"),
        ("# fine\nzzzzzzzzzzzzzzzz\n", "line 2"),
        ("0123456789abcdef0\n", "line 1"),
    ],
)
def test_a_list_that_checks_nothing_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "hashes.txt"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        read_hash_list(file)


@pytest.mark.parametrize("check", ["nowhere_at_all:check", "math:nothing", "math:pi", "math"])
def test_a_check_that_cannot_be_called_is_refused(tmp_path: Path, check: str) -> None:
    stage = FinishedCheck(check=check, hash_list=hash_list(tmp_path, np.zeros((8, 8, 3), np.uint8)))
    with pytest.raises(InputError, match="check of finished pictures"):
        stage.revision()
