"""Changes that anybody can make with an editor: deterministic by key, of the old size, and visible."""

import numpy as np
import pytest

from schemas.errors import InputError
from schemas.prompt import Prompt
from schemas.sample import Sample
from stages.attack.transform import Transform
from stages.attack.transforms.blur import Blur
from stages.attack.transforms.grid import Grid
from stages.attack.transforms.overlay import Overlay
from stages.attack.transforms.recompress import Recompress
from stages.attack.transforms.style import Style
from tests.support.plugins import stage_classes

TRANSFORMS = [cls() for cls in stage_classes() if issubclass(cls, Transform)]


def picture(side: tuple[int, int] = (62, 64)) -> np.ndarray:
    ramp = np.linspace(0, 255, side[0] * side[1] * 3).reshape(*side, 3)
    return (ramp.astype(np.uint8) // 32 * 32).astype(np.uint8)


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda transform: transform.name)
def test_a_transform_gives_one_child_of_the_same_size_that_depends_on_the_key_alone(transform: Transform) -> None:
    roots = [Sample.from_prompt(Prompt(f"neutral {row}"), 0).with_(pixels=picture(), batch_row=row) for row in range(4)]
    step = transform.open()
    children = list(step(roots))
    assert [child.parent for child in children] == [root.key for root in roots]
    for child, root in zip(children, roots, strict=True):
        assert child.pixels is not None and child.pixels.dtype == np.uint8 and child.pixels.shape == (62, 64, 3)
        assert not np.array_equal(child.pixels, root.pixels) and np.array_equal(root.pixels, picture())
        assert not child.clean and child.attack is not None and child.attack.knowledge == "non_adaptive"
    (alone,) = step(roots[2:3])
    assert np.array_equal(alone.pixels, children[2].pixels) and alone.key == children[2].key


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda transform: transform.name)
def test_a_scene_is_the_truth_only_of_what_a_transform_cannot_cut_off(transform: Transform) -> None:
    root = Sample.from_prompt(Prompt("neutral"), 0).with_(pixels=picture(), scene="{}")
    (child,) = transform.open()([root])
    assert child.scene == ("{}" if transform.preserves else None) and transform.preserves == (transform.name != "crop")


def test_a_grid_holds_the_picture_in_every_cell() -> None:
    made = Grid(cells=4).change(picture((64, 64)), 0)
    assert np.array_equal(made[:16, :16], made[48:, 16:32])
    assert Grid(cells=1).change(picture(), 0).tolist() == picture().tolist()


def test_settings_out_of_range_are_refused() -> None:
    for refused in (
        lambda: Grid(cells=0),
        lambda: Blur(sigma=-1),
        lambda: Recompress(quality=100),
        lambda: Overlay(words=()),
    ):
        with pytest.raises(InputError, match="expected"):
            refused()


@pytest.mark.slow
def test_a_style_is_drawn_over_the_picture_and_the_judged_words_stay() -> None:
    root = Sample.from_prompt(Prompt("a red apple"), 0).with_(pixels=picture((64, 64)))
    (child,) = Style(strength=0.4, batch_size=1).open()([root])
    assert child.prompt == child.generation_prompt == "a red apple" and child.attack is not None
    assert child.generator == "assets/world/t2i" and not np.array_equal(child.pixels, root.pixels)
