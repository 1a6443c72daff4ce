"""Every class of diffusers that draws from a prompt alone is drawn with, at random weights, and the table says what was found."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.engines.worker import one_thread
from schemas.errors import InputError
from schemas.prompt import Prompt
from schemas.sample import Pixels, Sample
from stages.generate.diffusion import Diffusion
from stages.generate.pipeline_class import refusal
from stages.generate.prompt_tokens import encoders_on_disk
from stages.generate.settings import FAMILIES, UNMEASURED
from tests.support.drawing import samples
from tests.support.every_class import CLASSES, save_class
from tests.support.generators_table import PAGE, auto_mapped, page

FAST = ("QwenImagePipeline", "ZImagePipeline", "CogView4Pipeline")
# Sides that hold a few latent cells of the real layout, where 32 pixels do not.
SIDES = {"Kandinsky3Pipeline": 64, "WuerstchenCombinedPipeline": 128, "StableCascadeCombinedPipeline": 128}
CHUNKED = {
    *("StableDiffusionPipeline", "StableDiffusionPAGPipeline", "LatentConsistencyModelPipeline"),
    *("StableDiffusionXLPipeline", "StableDiffusionXLPAGPipeline"),
}
LARGE = {"Kandinsky5T2IPipeline"}  # draws nothing below 640 x 1408
TRIED = [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in CLASSES]


def stage_of(name: str, folder: Path) -> Diffusion:
    """Two steps at the least size that is a picture for the class; few rows a batch, in which the last is asked for again alone."""
    guidance = 4.0 if name == "Ideogram4Pipeline" else None
    together = FAMILIES.get(name, UNMEASURED).together
    rows = 1 if name in LARGE else 3 if together else 2
    stage = Diffusion(model=str(save_class(name, folder)), steps=2, guidance_scale=guidance, batch_size=rows)
    directory = stage.weights().directory
    side = SIDES.get(name, max(32, directory.multiple))
    fixed = directory.kind.family.area or name in LARGE
    return replace(stage, size=directory.own_size if fixed else side)


def off_by(one: Pixels | None, other: Pixels | None) -> int:
    """How many of 255 steps the pictures differ by at most: an error that says whether it was rounding or another picture."""
    assert one is not None and other is not None
    return int(np.abs(one.astype(int) - other.astype(int)).max())


@pytest.mark.parametrize("name", TRIED)
def test_a_class_draws_the_same_bytes_twice_alone_and_in_company(name: str, tmp_path: Path) -> None:
    one_thread()  # as in a worker
    stage = stage_of(name, tmp_path)
    batch = samples(stage.batch_size)
    step = stage.open()
    together = [sample.pixels for sample in step(batch)]
    width, height = stage.weights().directory.size(stage.size)
    assert all(pixels is not None and pixels.shape == (height, width, 3) for pixels in together)
    assert len({pixels.tobytes() for pixels in together if pixels is not None}) == len(batch)
    for drawn in (step, stage.open()):  # the same weights, and weights that are loaded again
        (alone,) = drawn(batch[-1:])
        assert off_by(alone.pixels, together[-1]) == 0
    counted = {one.name: (one.limit, one.tokens(alone.prompt)) for one in encoders_on_disk(stage.weights().directory)}
    told = json.loads(alone.encoder_tokens or "{}")
    assert counted == {name: (one["limit"], one["tokens"]) for name, one in told.items()}, (
        "as counted before it is loaded"
    )
    assert stage.expected_seconds(True) > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CLASSES))
def test_a_class_encodes_long_prompts_in_chunks_or_refuses_to(name: str, tmp_path: Path) -> None:
    stage = replace(stage_of(name, tmp_path), long_prompts="chunks")
    if name not in CHUNKED:
        with pytest.raises(InputError, match="--long-prompts chunks"):
            stage.weights()
        return
    long = "a red dog and a green cat on a striped cloth, " * 3
    one, other = (
        drawn.pixels
        for drawn in stage.open()(
            [
                Sample.from_prompt(Prompt(long + end, seed=3), 0).with_(batch_row=row)
                for row, end in enumerate(("a house", "a knife"))
            ]
        )
    )
    assert off_by(one, other) > 0


def test_at_least_forty_classes_are_supported_and_each_other_one_has_a_reason() -> None:
    mapped = auto_mapped()
    assert len(CLASSES) >= 40
    assert sum(refusal(name) is None for name in CLASSES) == len(CLASSES)
    for name in mapped:
        assert refusal(name) is not None or name in CLASSES or name == "GlmImagePipeline", name


def test_every_class_with_an_entry_of_its_own_is_tried() -> None:
    assert set(FAMILIES) <= set(CLASSES)


def test_the_table_says_what_the_classes_say() -> None:
    assert PAGE.read_text() == page(), "write it anew: python -m tests.support.generators_table"
