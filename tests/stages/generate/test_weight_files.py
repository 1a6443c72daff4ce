"""Weights as people publish them: in shards, and in half precision only."""

from dataclasses import replace
from pathlib import Path
from shutil import copytree

import pytest
import torch

from schemas.errors import InputError
from stages.generate.diffusion import Diffusion
from tests.support.drawing import drawn, samples, tiny
from tests.support.tiny_pipelines import SIDE, stable_diffusion


def saved(folder: Path, **how: object) -> Diffusion:
    torch.manual_seed(0)
    pipeline = stable_diffusion()
    pipeline.save_pretrained(folder, **how)
    return Diffusion(model=str(folder), steps=1, size=SIDE, batch_size=3)


@pytest.mark.parametrize(
    "how", [{}, {"variant": "fp16"}, {"max_shard_size": "30KB"}, {"variant": "fp16", "max_shard_size": "30KB"}]
)
def test_shards_and_variants_draw_what_the_whole_weights_draw(
    how: dict[str, str], pipelines: Path, tmp_path: Path
) -> None:
    stage = saved(tmp_path / "saved", **how)
    assert stage.weights().directory.variant == how.get("variant")
    names = sorted(path.name for path in (tmp_path / "saved/unet").glob("*.safetensors"))
    assert all("fp16" in name for name in names) == ("variant" in how) and (len(names) > 1) == ("max_shard_size" in how)
    assert drawn(stage, samples()) == drawn(replace(tiny(pipelines, "sd1"), steps=1), samples())


def test_a_shard_that_is_missing_is_named(tmp_path: Path) -> None:
    saved(tmp_path / "whole", max_shard_size="30KB")
    copytree(tmp_path / "whole", tmp_path / "torn")
    lost = sorted((tmp_path / "torn/unet").glob("*.safetensors"))[0]
    lost.unlink()
    with pytest.raises(InputError, match=lost.name):
        Diffusion(model=str(tmp_path / "torn")).revision()
