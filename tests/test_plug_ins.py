"""A new attack, labeller, generator or classifier is one file: each is added in a temporary folder and used by its name."""

import re
import sys
from collections.abc import Iterator
from importlib import import_module, invalidate_caches
from pathlib import Path
from types import ModuleType

import pytest

from classifiers.saved import build, classifier_names
from schemas.prompt import Prompt
from schemas.sample import Sample
from stages.attack.by_name import attack_classes, attacks_of
from stages.label.by_name import labeller_classes, labellers_of
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


def test_a_plug_in_that_is_abstract_or_comes_from_elsewhere_is_none(added) -> None:  # type: ignore[no-untyped-def]
    import stages.attack.text

    added(stages.attack.text, "borrowed", "from stages.attack.text.typos import Typos\n")
    assert "borrowed" not in attack_classes() and "text_attack" not in attack_classes()
