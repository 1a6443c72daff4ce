"""What is wrong with weights, sizes and pictures is said in one clear error, where it can be before anything is loaded."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.engines.attempts import Attempts
from pipeline.engines.unit import BrokenStageError, OpenStage, run_stage
from pipeline.rounds.unit_state import UnitState
from pipeline.stage import BadSamplesError
from pipeline.storage.open_store import open_store
from schemas.errors import HazmatError, InputError
from stages.generate.diffusion import Diffusion
from stages.generate.image_to_image import ImageToImage
from tests.support.drawing import directory, samples, tiny
from tests.support.every_class import save_class
from tests.support.tiny_pipelines import SIDE


@pytest.fixture
def copy(pipelines: Path, tmp_path: Path) -> Path:
    """A Stable Diffusion to break."""
    return Path(shutil.copytree(directory(pipelines, "sd1"), tmp_path / "model"))


# clear errors, before anything is loaded


@pytest.mark.parametrize(
    ("part", "message"),
    [("vae", "'vae' is missing"), ("tokenizer", "'tokenizer' is missing"), ("scheduler", "'scheduler' is missing")],
)
def test_a_missing_part_is_named(copy: Path, part: str, message: str) -> None:
    shutil.rmtree(copy / part)
    with pytest.raises(InputError, match=message):
        Diffusion(model=str(copy)).revision()


def test_a_directory_that_is_no_pipeline_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"model_index\.json"):
        Diffusion(model=str(tmp_path)).revision()
    with pytest.raises(InputError, match="no such directory"):
        Diffusion(model="/nowhere/at/all").revision()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("KandinskyPipeline", "needs image_embeds, negative_image_embeds beside the prompt"),
        ("StableDiffusionControlNetPipeline", "needs a control beside the prompt"),
        ("FluxImg2ImgPipeline", "changes a picture"),
        ("QwenImageEditPipeline", "changes a picture"),
        ("StableVideoDiffusionPipeline", "takes no prompt"),
        ("HeliosPipeline", "draws films"),
        ("StableAudioPipeline", "makes sound"),
        ("DDPMPipeline", "takes no prompt"),
        ("ThumbnailPipeline", "is no pipeline of diffusers"),
    ],
)
def test_a_class_that_does_not_draw_from_text_alone_is_refused_with_the_reason(
    copy: Path, name: str, reason: str
) -> None:
    index = json.loads((copy / "model_index.json").read_text())
    (copy / "model_index.json").write_text(json.dumps(index | {"_class_name": name}))
    with pytest.raises(InputError, match=f"a {name} {reason}"):
        Diffusion(model=str(copy)).revision()


def test_what_a_class_cannot_do_is_said_before_loading(tmp_path: Path) -> None:
    mobile = Diffusion(model=str(save_class("AmusedPipeline", tmp_path)), guidance_scale=None, size=(24, 20))
    with pytest.raises(InputError, match=r"size 24x20: .* multiples of 8"):
        mobile.revision()
    fixed = Diffusion(model=str(save_class("QwenImage21Pipeline", tmp_path)), guidance_scale=4.0)
    with pytest.raises(InputError, match="has its guidance fixed"):
        fixed.revision()


def test_torn_weights_are_named(copy: Path) -> None:
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(InputError, match=r"cannot be read.*fetch the model again"):
        Diffusion(model=str(copy)).revision()


def test_pickled_weights_are_never_loaded(copy: Path) -> None:
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(InputError, match="pickled weights"):
        Diffusion(model=str(copy)).revision()


@pytest.mark.parametrize(("size", "family"), [(36, "sd1"), (0, "sd1"), (-8, "sdxl"), (20, "sdxl")])
def test_a_size_that_cannot_be_drawn_is_refused(pipelines: Path, size: int, family: str) -> None:
    with pytest.raises(InputError, match="multiples of 8"):
        replace(tiny(pipelines, family), size=size).revision()


def test_wrong_swaps_are_refused(pipelines: Path, copy: Path, tmp_path: Path) -> None:
    other = str(copy / "unet" / "diffusion_pytorch_model.safetensors")
    base = tiny(pipelines, "sdxl")
    for stage, message in (
        (replace(base, unet=other), "do not fit"),
        (replace(base, lora=other), "no LoRA"),
        (replace(base, scheduler="fast"), "euler_trailing"),
        (replace(base, unet="nobody/nothing/at_all.bin"), "no such file"),
    ):
        with pytest.raises(InputError, match=message):
            stage.revision()


@pytest.mark.slow
def test_flow_models_keep_their_scheduler_and_transformers_take_no_unet(pipelines: Path, copy: Path) -> None:
    base = tiny(pipelines, "flux")
    with pytest.raises(InputError, match="flow matching"):
        replace(base, scheduler="dpm").revision()
    with pytest.raises(InputError, match="no UNet"):
        replace(base, unet=str(copy / "unet" / "diffusion_pytorch_model.safetensors")).revision()


@pytest.mark.parametrize("wrong", [{"strength": 0.0}, {"strength": 1.5}, {"steps": 1, "strength": 0.5}])
def test_a_strength_without_a_step_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="strength"):
        ImageToImage(**wrong)  # type: ignore[arg-type]


# bad samples


def test_a_picture_of_the_wrong_size_costs_its_own_sample(pipelines: Path, tmp_path: Path) -> None:
    stage = ImageToImage(model=directory(pipelines, "sd1"), steps=2, size=SIDE, batch_size=3)
    right, wrong, none = samples()
    given = [
        right.with_(pixels=np.zeros((SIDE, SIDE, 3), np.uint8)),
        wrong.with_(pixels=np.zeros((16, SIDE, 3), np.uint8)),
        none,
    ]
    state = UnitState(0, given)
    run_stage(OpenStage(0, stage), state, Attempts(open_store(str(tmp_path)), "rounds/000-generate"))
    assert [sample.key for sample in state.samples] == [right.key]
    messages = [row.message for row in state.quarantine]
    assert "(16, 32, 3), expected uint8 (32, 32, 3)" in messages[0] and "missing" in messages[1]


def test_weights_with_nan_stop_the_run_with_one_error(copy: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    file = copy / "vae" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    tensors["decoder.conv_out.bias"][:] = np.nan
    save_file(tensors, file)
    stage = Diffusion(model=str(copy), steps=1, batch_size=3)
    with pytest.raises(BadSamplesError, match="NaN"):
        list(stage.open()(samples()))
    state = UnitState(0, samples(5))
    with pytest.raises(BrokenStageError, match=r"all 5 samples.*the picture holds NaN"):
        run_stage(OpenStage(0, stage), state, Attempts(open_store(str(tmp_path)), "rounds/000-generate"))


def test_a_model_that_draws_another_size_is_one_clear_error(pipelines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = replace(tiny(pipelines, "sd1"), steps=1)
    monkeypatch.setattr(Diffusion, "inputs", lambda self, weights, rows, size: {"height": 16, "width": 16})
    with pytest.raises(HazmatError, match=r"drew \(16, 16, 3\), expected \(32, 32, 3\)"):
        list(stage.open()(samples()))
