"""The pictures of tables 6 and 7: in distribution, and four ways out of it (two more are in layouts.py)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from classifiers.data.labelled_pictures import LabelledPictures
from classifiers.data.labelled_sample import LabelledSample
from pipeline.storage.store import Store
from schemas.errors import InputError
from schemas.prompt import Prompt
from schemas.sample import Pixels, Sample
from stages.generate.render import Render
from stages.world.grammar import prompt_at
from stages.world.reader import read
from stages.world.scene import Scene
from stages.world.truth import of_picture

DRAWN, EMBEDDED = "render/noto", "assets/world/t2i"  # trained on; held out of training
IN, IN_SINGLES = "in_distribution", "in_distribution_singles"
OUT = slice(2, None)  # of all sets: those after the two in distribution
SIDE = 64  # pixels of the world's drawings
OTHER_PROMPTS = 77  # seed of the second vendor's prompts: none of the run's


@dataclass(frozen=True, eq=False)
class TestSet:
    """`categories` are those that each picture touches, empty for safe. All pictures have one size."""

    name: str
    pixels: Sequence[Pixels]
    categories: Sequence[tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def unsafe(self) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        """bool [n]."""
        return np.array([bool(each) for each in self.categories])

    def tensor(self, index: Sequence[int]) -> Tensor:
        """float32 [n, 3, h, w] in [0, 1]."""
        stacked = np.stack([self.pixels[row] for row in index])
        return torch.from_numpy(stacked).permute(0, 3, 1, 2).float() / 255


def test_sets(store: Store, at_most: int) -> list[TestSet]:
    """In distribution, the part of it that shows one pictogram, and four out of it. Raises InputError where one is missing."""
    test = LabelledPictures.of(store, "test")
    wanted: dict[str, Callable[[LabelledSample], bool]] = {
        IN: lambda row: row.test_set == "test" and row.sample.generator == DRAWN,
        IN_SINGLES: lambda row: row.test_set == "test" and row.sample.generator == DRAWN and shows_one(row),
        "held_out_style": lambda row: str(row.test_set).startswith("style:") and row.sample.generator == DRAWN,
        "held_out_concepts": lambda row: str(row.test_set).startswith("concept:") and row.sample.generator == DRAWN,
        "held_out_generator": lambda row: row.test_set == "test" and row.sample.generator == EMBEDDED,
    }
    sets = []
    for name, wants in wanted.items():
        rows = [row for row, labelled in enumerate(test.rows) if wants(labelled)][:at_most]
        if not rows:
            raise InputError(
                f"{store.url}: its test shards have nothing for {name}; make it with bench.defence.__main__'s data"
            )
        sets.append(TestSet(name, [test.pixels(row) for row in rows], [test.rows[row].categories for row in rows]))
    return [*sets, second_vendor(at_most)]


def shows_one(row: LabelledSample) -> bool:
    """Whether a drawn picture shows one pictogram: CLIP's one vector is near perfect there (docs/results/world.md)."""
    return row.sample.scene is not None and len(Scene.from_json(row.sample.scene).pictograms) == 1


def second_vendor(count: int) -> TestSet:
    """Other prompts of the same grammar in another vendor's drawings, which nothing here was trained on."""
    step = Render(vendor="twemoji").open()
    texts = [prompt_at(OTHER_PROMPTS, index).generation_prompt for index in range(count)]
    drawn = list(step([Sample.from_prompt(Prompt(text, text), OTHER_PROMPTS) for text in texts]))
    pixels = [sample.pixels for sample in drawn if sample.pixels is not None]
    return TestSet("second_vendor", pixels, [of_picture(read(text).concepts).categories for text in texts])
