"""Every family of generators draws through one stage, the same bytes twice, and says clearly what is wrong with its weights."""

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.attempts import Attempts
from pipeline.stage import BadSamplesError, Stage
from pipeline.store import open_store
from pipeline.unit import BrokenStageError, OpenStage, UnitState, run_stage
from runs import Texts, carry_out, digest, plan_of, rows
from schemas.errors import HazmatError, InputError
from schemas.prompt import Prompt
from schemas.sample import Sample
from stages.generate import settings
from stages.generate.diffusion import Diffusion
from stages.generate.image_to_image import ImageToImage
from stages.generate.loading import load
from stages.generate.mixture import HALVES, Mixture, Part, SortByPart, part_of
from stages.generate.render import Render
from stages.generate.settings import FAMILIES as KNOWN
from stages.weights import REPOSITORY
from tiny_pipelines import FAMILIES, SIDE, save

FAST = ["sd1", "sdxl"]
ALL = [family if family in FAST else pytest.param(family, marks=pytest.mark.slow) for family in FAMILIES]
PROMPTS = ("a red apple", "a dog on a striped ground", "two keys", "a house", "a moon")
WORLD = REPOSITORY / "assets" / "world" / "t2i"


@pytest.fixture(scope="module")
def pipelines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny pipelines that tests asked for so far."""
    return tmp_path_factory.mktemp("pipelines")


def directory(pipelines: Path, family: str) -> str:
    """The tiny pipeline of a family, made once. FLUX draws 1024 pixels of its own accord, so tests give a size."""
    return str(pipelines / family if (pipelines / family).is_dir() else save(family, pipelines))


@pytest.fixture
def copy(pipelines: Path, tmp_path: Path) -> Path:
    """A Stable Diffusion to break."""
    return Path(shutil.copytree(directory(pipelines, "sd1"), tmp_path / "model"))


def samples(count: int = 3) -> list[Sample]:
    made = [Sample.from_prompt(Prompt(text), 0) for text in PROMPTS[:count]]
    return [sample.with_(slot=slot) for slot, sample in enumerate(made)]


def drawn(stage: Stage, batch: Sequence[Sample]) -> list[bytes]:
    """The pictures as bytes."""
    pictures = [sample.pixels for sample in stage.open()(batch)]
    return [picture.tobytes() for picture in pictures if picture is not None]


def tiny(pipelines: Path, family: str) -> Diffusion:
    return Diffusion(model=directory(pipelines, family), steps=2, size=SIDE, batch_size=3)


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
    if not KNOWN[class_name].image_to_image:
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
    large = [
        (load(weights, side, 2).vae.use_slicing, load(weights, side, 2).vae.use_tiling) for side in (512, 1024, 2048)
    ]
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
        scheduler = load(stage.weights(), SIDE, 4).scheduler
        scheduler.set_timesteps(4)
        assert scheduler.timesteps[0] == 999, name


def test_guidance_zero_ignores_what_guidance_would_add(pipelines: Path) -> None:
    stage = replace(tiny(pipelines, "sdxl"), guidance_scale=0.0)
    assert drawn(stage, samples()) == drawn(replace(stage, guidance_scale=1.0), samples())
    assert drawn(stage, samples()) != drawn(replace(stage, guidance_scale=5.0), samples())


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


def test_an_unknown_class_lists_the_known_ones(copy: Path) -> None:
    index = json.loads((copy / "model_index.json").read_text())
    (copy / "model_index.json").write_text(json.dumps(index | {"_class_name": "KandinskyPipeline"}))
    with pytest.raises(InputError, match=r"KandinskyPipeline.*FluxPipeline"):
        Diffusion(model=str(copy)).revision()


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
    monkeypatch.setattr(Diffusion, "inputs", lambda self, weights, rows: {"height": 16, "width": 16})
    with pytest.raises(HazmatError, match=r"drew \(16, 16, 3\), expected \(32, 32, 3\)"):
        list(stage.open()(samples()))


# mixtures


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


# the embedded world


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
