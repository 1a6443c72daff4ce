"""Charts show what the rows say, and the case study counts only what is preserved."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from classifiers.unsafebench.dataset.annotation import Say
from classifiers.unsafebench.dataset.images import GENERATED, REAL, Picture
from classifiers.unsafebench.dataset.keywords import augmented
from classifiers.unsafebench.report import charts
from classifiers.unsafebench.report.case_study import GRIDS, STRENGTHS, Variation, judged, originals, variations
from schemas.protocols import Coverage, Inputs, Scores
from schemas.taxonomy import UNSAFEBENCH
from tests.support.tiny_language_model import save_language_model


def height(path: Path, number: int) -> int:
    """Rows of pixels in a series' colour above the legend."""
    pixels = np.array(Image.open(path))[: charts.HEIGHT - 25]
    return int((pixels == charts.colour(number)).all(axis=2).any(axis=1).sum())


def test_a_bar_is_as_high_as_its_value_and_a_missing_value_has_none(tmp_path: Path) -> None:
    file = tmp_path / "bars.png"
    charts.bars(file, "t", ["a"], {"half": [0.5], "whole": [1.0], "none": [None]})
    assert height(file, 1) == pytest.approx(2 * height(file, 0), abs=2)
    assert height(file, 2) == 0


def test_a_box_spans_the_quartiles_and_an_empty_group_is_left_empty(tmp_path: Path) -> None:
    file = tmp_path / "boxes.png"
    charts.boxes(
        file, "t", {"wide": np.linspace(0, 1, 101), "narrow": np.linspace(0.4, 0.6, 101), "empty": np.zeros(0)}, (0, 1)
    )
    assert height(file, 0) > 4 * height(file, 1) > 0 and height(file, 2) == 0


def test_a_blurred_sheet_shows_nothing(tmp_path: Path) -> None:
    board = (np.indices((64, 64)).sum(0) // 4 % 2 * 255).astype(np.uint8)[..., None].repeat(3, 2)
    contrast = []
    for blur in (False, True):
        charts.sheet(tmp_path / "sheet.png", "t", [("row", [("cell", board)])], blur=blur)
        contrast.append(np.array(Image.open(tmp_path / "sheet.png"))[60:120, 240:300].std())
    assert contrast[1] < contrast[0] / 10


def picture(number: int, source: str = REAL, category: str = "violence", *, unsafe: bool = True) -> Picture:
    pixels = np.full((64, 64, 3), 10 * number, np.uint8)
    return Picture(f"{number:032x}", pixels, source, category, unsafe, "a picture of swords")


def test_originals_are_real_unsafe_and_flagged_by_all_their_judges() -> None:
    pictures = [picture(1), picture(2), picture(3, GENERATED), picture(4, unsafe=False), picture(5, category="sexual")]
    flagged = [("q16", 1), ("q16", 3), ("q16", 4), ("nude_net", 5)]
    verdicts = [{"classifier": name, "key": f"{number:032x}", "flagged": True} for name, number in flagged]
    assert [int(each.key, 16) for each in originals(verdicts, pictures)] == [1]
    verdicts.append({"classifier": "nsfw_detector", "key": f"{5:032x}", "flagged": True})
    assert [int(each.key, 16) for each in originals(verdicts, pictures)] == [5, 1]


class Bright:
    """Flags what is brighter than a tenth."""

    name, threshold = "q16", 0.1
    coverage = Coverage(frozenset({"image"}), ("image",), ("violence",))

    def score(self, inputs: Inputs) -> Scores:
        assert inputs.pixels is not None
        return Scores({"image": inputs.pixels.mean(dim=(1, 2, 3))}, {"image": torch.zeros((len(inputs), 1))})


def test_only_preserved_variations_are_judged() -> None:
    bright, dark = (np.full((8, 8, 3), shade, np.uint8) for shade in (200, 1))
    made = [
        Variation("k", "violence", "grid", 2, pixels, kept)
        for pixels, kept in ((bright, True), (dark, True), (dark, False))
    ]
    assert [row["flagged"] for row in judged(made, {"q16": Bright()})] == [True, False]


@pytest.mark.slow
def test_every_strength_and_grid_is_made_of_every_original_whose_content_is_seen() -> None:
    says = iter([[Say("unsafe", ("violence",)), Say("safe")]])

    def sees(samples: object) -> list[Say]:
        return next(says, None) or [Say("unsafe", ("violence",))] * len(samples)  # type: ignore[arg-type]

    made = variations([picture(1), picture(2)], sees)
    assert {each.original for each in made} == {f"{1:032x}"}
    assert [each.degree for each in made if each.kind == "style"] == list(STRENGTHS)
    assert [each.degree for each in made if each.kind == "grid"] == list(GRIDS)
    assert all(each.pixels.shape == (64, 64, 3) for each in made)


@pytest.mark.slow
def test_a_language_model_that_writes_no_list_adds_no_keyword(tmp_path: Path) -> None:
    model = str(save_language_model(tmp_path, chat=True))
    found = augmented(model, UNSAFEBENCH, 0)
    assert tuple(found) == UNSAFEBENCH.ids and not any(found.values())
