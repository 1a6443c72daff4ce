"""Whatever is new is one file: each kind is added in a temporary folder and used by its name."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module, invalidate_caches
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from classifiers.evaluation import metrics
from classifiers.saved import build, classifier_names
from jobs.recipes.named import chosen, recipe_of, recipes
from jobs.recipes.prompts import roots
from schemas.prompt import Prompt
from schemas.run import RunConfig
from schemas.sample import Sample
from stages.attack.by_name import attack_classes, attacks_of
from stages.label.by_name import labeller_classes, labellers_of
from tests.classifiers.evaluation.test_metrics import result, store_of
from tests.support.plugins import stage_classes

ROOT = Path(__file__).parents[1]
LABELLER = '''
from dataclasses import dataclass
from typing import ClassVar
from stages.label.labeller import Judge, Labeller, rated

@dataclass(frozen=True, kw_only=True)
class LongWords(Labeller):
    """Unsafe from a word of ten letters on."""
    scopes: ClassVar[tuple[str, ...]] = ("prompt",)
    licence: ClassVar[str] = "Apache-2.0"

    def judge(self) -> Judge:
        def longest(sample):
            return float(max(map(len, sample.prompt.split())) >= 10)
        return lambda batch: [[rated("prompt", {"harassment": longest(sample)}, 0.5)] for sample in batch]

    def covers(self) -> tuple[str, ...]:
        return ("harassment",)
'''
GENERATOR = '''
from dataclasses import dataclass
from typing import ClassVar
import numpy as np
from pipeline.stage import Stage, Step

@dataclass(frozen=True, kw_only=True)
class Grey(Stage):
    """Draw everything grey."""
    needs: ClassVar[frozenset[str]] = frozenset({"prompt"})
    adds: ClassVar[frozenset[str]] = frozenset({"pixels"})

    def open(self) -> Step:
        return lambda batch: (sample.with_(pixels=np.full((8, 8, 3), 128, np.uint8)) for sample in batch)
'''
CLASSIFIER = '''
from typing import ClassVar
from classifiers.models.text import Text

class Words(Text):
    """The text baseline under another name."""
    kind: ClassVar[str] = "words"
'''
RECIPE = '''
from jobs.recipes.parts import world
from jobs.recipes.prompts import default_prompts
from pipeline.recipe import Recipe
from schemas.run import RunConfig
from stages.generate.render import Render
from stages.image_io.encode import Encode

def twice_drawn(config: RunConfig) -> Recipe:
    """Scenes in the other vendor's pictograms."""
    draw = Render(vendor="twemoji")
    return Recipe(name="twice_drawn", prompts=default_prompts(config), stages=(draw, Encode()), redraw=(draw,), **world())
'''
BENCHMARK = '''
from collections.abc import Iterator
from dataclasses import dataclass
from jobs.recipes.named import chosen, recipe_of, recipes
from jobs.recipes.prompts import roots
from schemas.prompt import Prompt
from schemas.run import RunConfig
from stages.prompts.published import PublishedPrompts

@dataclass(frozen=True)
class Riddles(PublishedPrompts):
    """Prompts of a table with an answer."""
    needs = ("prompt", "answer")

    def __iter__(self) -> Iterator[Prompt]:
        for row in self.rows():
            yield Prompt(row["prompt"], source="riddles", label=row["answer"])
'''
FIGURE = """
-- How often each scorer flags anything, by root.
SELECT scorer, root, sum(flagged::INT) AS num, count(*) AS den FROM results WHERE setting = 'clean' GROUP BY ALL
"""
PCX = '    PictureFormat("PCX", (".pcx",), (b"\\x0a\\x05\\x01",)),\n'
READS_PCX = """
import io
from PIL import Image
from classifiers.moderation.sources import source_of
from pipeline.storage.image_codec import decode
for item in source_of("pictures").items:
    print(item.key, item.problem, decode(open("pictures/red.pcx", "rb").read()).tolist()[0][0])
"""


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """add(package, name, source): one file more in a package, for the length of a test."""
    names = []

    def add(package: ModuleType, name: str, source: str) -> ModuleType:
        folder = tmp_path / package.__name__
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.py").write_text(source)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
        invalidate_caches()
        names.append(f"{package.__name__}.{name}")
        return import_module(names[-1])

    yield add
    for name in names:
        sys.modules.pop(name, None)


def blocks_of_contributing() -> tuple[str, str]:
    """The attack and its test, as CONTRIBUTING.md shows them."""
    attack, test = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.S)
    return attack, test


def test_the_attack_of_contributing_is_found_by_its_file_and_passes_its_test(added) -> None:  # type: ignore[no-untyped-def]
    import stages.attack.text

    attack, test = blocks_of_contributing()
    added(stages.attack.text, "shouting", attack)
    assert "shouting" in attack_classes()
    [shouting] = attacks_of("shouting", (), "evade", None)["text"]
    [child] = shouting.open()([Sample.from_prompt(Prompt("a picture of a dagger"), 0)])
    assert child.prompt != "a picture of a dagger" and child.attack is not None and child.attack.name == "shouting"
    names: dict[str, object] = {}
    exec(test, names)
    names["test_shouting_keeps_the_words_and_its_budget"]()  # type: ignore[operator]


def test_a_labeller_is_one_file(added) -> None:  # type: ignore[no-untyped-def]
    import stages.label

    added(stages.label, "long_words", LABELLER)
    assert "long_words" in labeller_classes()
    [labeller] = labellers_of("long_words")
    [voted] = labeller.open()([Sample.from_prompt(Prompt("an extraordinary day"), 0)])
    assert [(vote.scope, vote.label) for vote in voted.votes] == [("prompt", "unsafe")]


def test_a_generator_is_one_file(added) -> None:  # type: ignore[no-untyped-def]
    import stages.generate

    added(stages.generate, "grey", GENERATOR)
    [grey] = [stage for stage in stage_classes() if stage.__name__ == "Grey"]
    [drawn] = grey().open()([Sample.from_prompt(Prompt("anything"), 0)])
    assert drawn.pixels is not None and set(drawn.pixels.flat) == {128}


def test_a_classifier_is_one_file(added, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    import classifiers.models

    added(classifiers.models, "words", CLASSIFIER)
    assert "words" in classifier_names()
    assert build("words", ROOT / "assets" / "world" / "clip").kind == "words"


def test_a_recipe_is_one_file(added) -> None:  # type: ignore[no-untyped-def]
    import jobs.recipes

    added(jobs.recipes, "twice_drawn", RECIPE)
    assert "twice_drawn" in recipes() and "recipe_of" not in recipes()
    config = chosen(RunConfig("run", recipe="twice_drawn", count=2))
    recipe = recipe_of(config)
    assert [stage.name for stage in recipe.plan(roots(config, recipe.prompts), 0).stages] == ["render", "encode"]


def test_a_benchmark_of_prompts_is_one_file(added, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    import stages.prompts

    added(stages.prompts, "riddles", BENCHMARK)
    (tmp_path / "riddles.csv").write_text("prompt,answer\nwhat has keys,a piano\n")
    [sample] = roots(RunConfig("run", prompts=f"riddles:{tmp_path}/riddles.csv"), ())
    assert (sample.prompt, sample.label) == ("what has keys", "a piano")


def test_a_figure_of_the_evaluation_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    questions = Path(shutil.copytree(metrics.QUESTIONS, tmp_path / "sql"))
    (questions / "flag_rate.sql").write_text(FIGURE)
    monkeypatch.setattr(metrics, "QUESTIONS", questions)
    rows = [result(number, bad=True, score=0.1 + 0.8 * (number < 5)) for number in range(20)]
    with metrics.opened(store_of(tmp_path, rows), "test", ["one"]) as con:
        [flagged] = metrics.measures(con)["flag_rate"]
    assert flagged["scorer"] == "one" and flagged["value"] == pytest.approx(5 / 20) and flagged["roots"] > 1


def test_a_picture_format_is_one_line_of_one_file(tmp_path: Path) -> None:
    """In a copy of the code, since formats are told when it is imported."""
    for floor in ("schemas", "pipeline", "stages", "classifiers"):
        shutil.copytree(ROOT / floor, tmp_path / floor, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "assets").symlink_to(ROOT / "assets")
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (4, 3), "red").save(tmp_path / "pictures/red.pcx")
    codec = tmp_path / "pipeline/storage/image_codec.py"
    plain, (before, after) = codec.read_text(), codec.read_text().split("    PictureFormat(HEIF")
    said = []
    for text in (plain, f"{before}{PCX}    PictureFormat(HEIF{after}"):
        codec.write_text(text)
        ran = subprocess.run(
            [sys.executable, "-c", READS_PCX],
            cwd=tmp_path,
            env={"PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
        )
        said.append(ran.stdout.strip() or ran.stderr.strip().splitlines()[-1])
    assert "no pictures here" in said[0] and said[1] == "red.pcx None [255, 0, 0]"


def test_a_plug_in_that_is_abstract_or_comes_from_elsewhere_is_none(added) -> None:  # type: ignore[no-untyped-def]
    import stages.attack.text

    added(stages.attack.text, "borrowed", "from stages.attack.text.typos import Typos\n")
    assert "borrowed" not in attack_classes() and "text_attack" not in attack_classes()
