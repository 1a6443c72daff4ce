"""Every family of generators draws through one stage, the same bytes twice, alone and in company."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from schemas.errors import InputError
from schemas.prompt import Prompt
from schemas.sample import Sample
from stages.generate import settings
from stages.generate.image_to_image import ImageToImage
from stages.generate.loading import load
from stages.generate.pipeline_class import PipelineClass
from tests.support.drawing import directory, drawn, samples, tiny
from tests.support.tiny_pipelines import FAMILIES, SIDE, save

FAST = ["sd1", "sdxl"]
ALL = [family if family in FAST else pytest.param(family, marks=pytest.mark.slow) for family in FAMILIES]


# every class


@pytest.mark.parametrize("family", ALL)
def test_a_family_draws_the_same_bytes_twice_alone_and_in_company(pipelines: Path, family: str) -> None:
    stage = tiny(pipelines, family)
    together = drawn(stage, samples())
    assert len(set(together)) == 3 and len(together[0]) == SIDE * SIDE * 3
    assert drawn(stage, samples()) == together
    assert drawn(stage, samples()[1:2]) == together[1:2]


@pytest.mark.parametrize("family", ALL)
def test_a_row_says_how_its_picture_was_made(pipelines: Path, family: str) -> None:
    stage = tiny(pipelines, family)
    (made,) = stage.open()(samples(1))
    assert (made.generator, made.steps, made.guidance_scale) == (stage.model, 2, 3.0)
    assert made.revision == stage.revision() and made.scheduler and made.seed is not None


@pytest.mark.parametrize("family", ALL)
def test_image_to_image_starts_from_the_picture(pipelines: Path, family: str) -> None:
    stage = ImageToImage(model=directory(pipelines, family), steps=4, strength=0.5, size=SIDE, batch_size=3)
    class_name = json.loads((Path(stage.model) / "model_index.json").read_text())["_class_name"]
    if PipelineClass.named(class_name).image_to_image is None:
        with pytest.raises(InputError, match="no image-to-image"):
            stage.revision()
        return
    dark = [sample.with_(pixels=np.zeros((SIDE, SIDE, 3), np.uint8)) for sample in samples()]
    light = [sample.with_(pixels=np.full((SIDE, SIDE, 3), 255, np.uint8)) for sample in samples()]
    first = drawn(stage, dark)
    assert drawn(stage, dark) == first != drawn(stage, light)
    assert drawn(stage, dark[2:]) == first[2:]


# settings


def test_the_autoencoder_is_sliced_when_large_and_tiled_beyond_every_own_size(pipelines: Path) -> None:
    weights = tiny(pipelines, "sd1").weights()
    large = [(load(weights, side).vae.use_slicing, load(weights, side).vae.use_tiling) for side in (512, 1024, 2048)]
    assert large == [(False, False), (True, False), (True, True)]


def test_slicing_changes_nothing_that_is_seen(pipelines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = tiny(pipelines, "sd1")
    whole = drawn(stage, samples())
    monkeypatch.setattr(settings, "SLICE_FROM", 8)
    sliced = drawn(stage, samples())
    for one, other in zip(whole, sliced, strict=True):
        difference = np.frombuffer(one, np.uint8).astype(int) - np.frombuffer(other, np.uint8)
        assert np.abs(difference).max() <= 1


def test_a_prompt_that_is_too_long_is_not_printed(pipelines: Path, capfd: pytest.CaptureFixture[str]) -> None:
    batch = [Sample.from_prompt(Prompt("marmalade " * 100), 0)]
    assert drawn(tiny(pipelines, "sd1"), batch)
    assert "marmalade" not in "".join(capfd.readouterr())


# few steps


def swapped_unet(pipelines: Path, tmp_path: Path) -> Path:
    """The weights of another UNet of the same shape, as SDXL-Lightning is published."""
    other = save("sdxl", tmp_path, seed=1)
    return Path(
        shutil.copy(other / "unet" / "diffusion_pytorch_model.safetensors", tmp_path / "four_steps.safetensors")
    )


def lora(pipelines: Path, tmp_path: Path) -> Path:
    """A random LoRA for the attention of the tiny SDXL."""
    import torch
    from diffusers import DiffusionPipeline, StableDiffusionXLPipeline
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    torch.manual_seed(2)
    unet = DiffusionPipeline.from_pretrained(directory(pipelines, "sdxl")).unet
    unet.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights="gaussian"))
    weights = {name: torch.randn_like(value) for name, value in get_peft_model_state_dict(unet).items()}
    StableDiffusionXLPipeline.save_lora_weights(tmp_path, unet_lora_layers=weights)
    return tmp_path / "pytorch_lora_weights.safetensors"


@pytest.mark.parametrize("made", [swapped_unet, lora])
def test_lightning_swaps_weights_and_spacing_and_names_them(pipelines: Path, tmp_path: Path, made) -> None:  # type: ignore[no-untyped-def]
    base = replace(tiny(pipelines, "sdxl"), steps=4, guidance_scale=0.0, scheduler="euler_trailing")
    file = str(made(pipelines, tmp_path))
    stage = replace(base, **{"unet" if made is swapped_unet else "lora": file})
    first = drawn(stage, samples())
    assert first == drawn(stage, samples()) != drawn(base, samples())
    assert stage.revision() != base.revision()
    (row,) = stage.open()(samples(1))
    assert row.scheduler == "EulerDiscreteScheduler" and row.generator == f"{base.model}+{file}"


def test_trailing_spacing_starts_at_pure_noise(pipelines: Path) -> None:
    for name in ("euler_trailing", "euler_ancestral_trailing"):
        stage = replace(tiny(pipelines, "sdxl"), scheduler=name)
        scheduler = load(stage.weights(), SIDE).scheduler
        scheduler.set_timesteps(4)
        assert scheduler.timesteps[0] == 999, name


def test_guidance_zero_ignores_what_guidance_would_add(pipelines: Path) -> None:
    stage = replace(tiny(pipelines, "sdxl"), guidance_scale=0.0)
    assert drawn(stage, samples()) == drawn(replace(stage, guidance_scale=1.0), samples())
    assert drawn(stage, samples()) != drawn(replace(stage, guidance_scale=5.0), samples())
