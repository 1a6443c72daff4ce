"""Several generators in one run: stated shares, each sample through exactly one, the same bytes whatever the company."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.storage.weights import REPOSITORY
from schemas.errors import InputError
from schemas.prompt import Prompt
from schemas.sample import Sample
from stages.generate.image_to_image import ImageToImage
from stages.generate.mixture import HALVES, Mixture, Part, SortByPart, part_of
from stages.generate.render import Render
from tests.support.drawing import PROMPTS, drawn, samples, tiny
from tests.support.runs import Texts, carry_out, digest, plan_of, rows

WORLD = REPOSITORY / "assets" / "world" / "t2i"


def mixed(pipelines: Path) -> tuple[Part, ...]:
    return Part(replace(tiny(pipelines, "sd1"), steps=1), 3), Part(replace(tiny(pipelines, "sdxl"), steps=1), 1)


def test_each_sample_goes_through_exactly_one_generator(pipelines: Path, tmp_path: Path) -> None:
    parts = mixed(pipelines)
    items = Texts(tuple(f"{text} {number}" for text in PROMPTS for number in range(8)))
    plan = plan_of(items, SortByPart(parts=parts), Mixture(parts=parts, batch_size=4), unit_size=16)
    first = digest(carry_out(tmp_path / "one", plan))
    table = rows(tmp_path / "one")
    assert table.num_rows == 40 == len(set(table["key"].to_pylist()))
    for row in table.to_pylist():
        assert row["generator"] == getattr(parts[part_of(row["key"], parts)].generator, "model")  # noqa: B009
    assert digest(carry_out(tmp_path / "two", plan)) == first


@pytest.mark.slow
def test_a_mixture_on_ray_gives_the_bytes_of_one_process(pipelines: Path, tmp_path: Path) -> None:
    parts = mixed(pipelines)
    plan = plan_of(Texts(PROMPTS), SortByPart(parts=parts), Mixture(parts=parts, batch_size=4), unit_size=2)
    local = digest(carry_out(tmp_path / "local", plan))
    assert digest(carry_out(tmp_path / "ray", plan, "ray", workers=2)) == local


def test_shares_are_kept() -> None:
    parts = (Part(Render(), 3), Part(Render(vendor="twemoji"), 1))
    keys = [Sample.from_prompt(Prompt(f"prompt {number}"), 0).key for number in range(4000)]
    counts = Counter(part_of(key, parts) for key in keys)
    assert abs(counts[0] / 4000 - 0.75) < 0.03  # 4 standard deviations


def test_a_sample_of_a_mixture_has_the_same_bytes_alone(pipelines: Path) -> None:
    stage = Mixture(parts=mixed(pipelines), batch_size=5)
    together = drawn(stage, samples(5))
    assert [drawn(stage, [sample])[0] for sample in samples(5)] == together


@pytest.mark.parametrize("parts", [(), (Part(Render(), 0.0),), (Part(SortByPart(), 1.0),)])
def test_a_mixture_of_nothing_is_refused(parts: tuple[Part, ...]) -> None:
    with pytest.raises(InputError):
        Mixture(parts=parts)


@pytest.mark.skipif(not (WORLD / "model_index.json").is_file(), reason="the embedded model is not trained yet")
def test_the_embedded_world_mixes_with_rendered_scenes_and_restyles() -> None:
    batch = samples(4)
    made = list(Mixture(parts=(replace_steps(HALVES[0]), HALVES[1]), batch_size=4).open()(batch))
    assert {sample.generator for sample in made} <= {"assets/world/t2i", "render/noto"}
    styled = ImageToImage(steps=4, strength=0.5, batch_size=4).open()(made)
    assert all(
        after.key == before.key and not np.array_equal(after.pixels, before.pixels)
        for after, before in zip(styled, made, strict=True)
    )  # type: ignore[arg-type]


def replace_steps(part: Part) -> Part:
    return Part(replace(part.generator, steps=2), part.share)  # type: ignore[call-arg]
