"""What early steps knew is kept beside the picture, and keeping it changes nothing."""

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from jobs.recipes.in_diffusion import in_diffusion
from pipeline.dataset.revocation import enter, remove
from pipeline.dataset.verify import verify_run
from pipeline.engines.engine import run_units
from pipeline.plan import Plan
from pipeline.rounds.captures import CaptureReader, PackCaptures
from pipeline.rounds.round import open_round, pending
from pipeline.selection.edges import GroupRules
from pipeline.storage.open_store import open_store
from pipeline.storage.store import Store
from schemas.capture import CapturedArray, CapturedSample, at_step, block_name
from schemas.errors import InputError
from schemas.prompt import Prompt
from schemas.protocols import Capture as Contract
from schemas.run import RunConfig
from schemas.sample import Sample
from stages.generate.capture import Block, Early, StepCapture, cross_attentions, pooled
from stages.generate.captured_diffusion import CapturedDiffusion
from stages.generate.loading import load
from stages.generate.step_hook import StepHook, denoiser_of
from stages.image_io.encode import Encode
from tests.support.drawing import directory, drawn, samples, tiny
from tests.support.tiny_pipelines import SIDE

WITH_WORDS = ["sd1", "sdxl", "pixart"]
OTHERS = [pytest.param(family, marks=pytest.mark.slow) for family in ("sd2", "sd3", "flux", "pixart_alpha")]


def captured(pipelines: Path, family: str, blocks: Sequence[str] | None = None) -> CapturedDiffusion:
    """Three steps, of which the first two are kept; blocks are all that attend to words unless given."""
    plain = tiny(pipelines, family)
    if blocks is None:
        blocks = cross_attentions(denoiser_of(load(plain.weights(), SIDE)))[:2]
    keep = Early(steps=(1, 2), blocks=tuple(blocks), grid=4)
    return CapturedDiffusion(model=plain.model, steps=3, size=SIDE, batch_size=3, keep=keep)


def plain(stage: CapturedDiffusion) -> list[bytes]:
    from stages.generate.diffusion import Diffusion

    return drawn(Diffusion(model=stage.model, steps=3, size=SIDE, batch_size=3), samples())


def kept(stage: CapturedDiffusion, batch: Sequence[Sample]) -> list[dict[str, np.ndarray]]:
    made = list(stage.open()(batch))
    assert all(isinstance(one, CapturedSample) for one in made)
    return [{c.member: c.array for c in one.caught} for one in made]  # type: ignore[attr-defined]


# what is kept


@pytest.mark.parametrize("family", WITH_WORDS)
def test_every_family_with_attention_to_words_gives_all_captures_and_the_same_pictures(
    pipelines: Path, family: str
) -> None:
    stage = captured(pipelines, family)
    assert drawn(stage, samples()) == plain(stage), "keeping changed the pictures"
    first = kept(stage, samples())
    names = {f"{block_name(path)}_{step}" for path in stage.keep.blocks for step in (1, 2)}
    assert first[0].keys() == {"latent_1", "latent_2", "noise_1", "noise_2", "words"} | names
    assert all(array.dtype == np.float16 and np.isfinite(array).all() for array in first[0].values())
    assert all(first[0][name].shape[1:] == (4, 4) for name in names)
    assert first[0]["words"].ndim == 2 and (first[0]["words"] != first[1]["words"]).any()


@pytest.mark.parametrize("family", OTHERS)
def test_latents_and_predictions_are_kept_of_every_family(pipelines: Path, family: str) -> None:
    stage = captured(pipelines, family, blocks=())
    assert drawn(stage, samples()) == plain(stage)
    assert kept(stage, samples())[0].keys() == {"latent_1", "latent_2", "noise_1", "noise_2"}


@pytest.mark.parametrize("family", WITH_WORDS)
def test_captures_are_the_same_twice_and_alone(pipelines: Path, family: str) -> None:
    stage = captured(pipelines, family)
    together, alone = kept(stage, samples()), kept(stage, samples()[1:2])
    for name, array in together[1].items():
        assert array.tobytes() == alone[0][name].tobytes(), name


def test_what_is_kept_is_what_the_pipeline_itself_reports(pipelines: Path) -> None:
    stage = captured(pipelines, "sd1")
    pipeline = load(stage.weights(), SIDE)
    latent, reported = StepCapture("latent", 2), {}
    latent.attach(pipeline)

    def remember(
        pipe: object, step: int, timestep: object, tensors: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        reported[step] = (float(timestep), tensors["latents"].clone())  # type: ignore[arg-type]
        return tensors

    pipeline(
        ["a key"], num_inference_steps=3, output_type="latent", height=SIDE, width=SIDE, callback_on_step_end=remember
    )
    timestep, latents = reported[1]
    assert torch.equal(latent.take(), latents.to(torch.float16)) and latent.timestep == timestep
    contract: Contract = latent
    assert contract.shape == tuple(latents.shape[1:])


def test_the_prompts_half_of_a_guided_batch_is_kept(pipelines: Path) -> None:
    """Without guidance there is one half only; the first step's places must be the same with it."""
    paths = cross_attentions(denoiser_of(load(tiny(pipelines, "sd1").weights(), SIDE)))
    found = []
    for guidance in (1.0, 5.0):
        pipeline = load(tiny(pipelines, "sd1").weights(), SIDE)
        block = Block(paths[0], 1, 4)
        block.attach(pipeline)
        draw = torch.Generator().manual_seed(1)
        pipeline(["a key"], num_inference_steps=2, guidance_scale=guidance, generator=draw, height=SIDE, width=SIDE)
        found.append(block.take().float())
    assert torch.allclose(found[0], found[1], atol=1e-2)


def test_places_of_any_form_are_pooled_and_others_refused() -> None:
    hidden = torch.arange(2 * 32 * 3).float().reshape(2, 32, 3)
    wide = pooled(hidden, (16, 8), 4)
    assert wide.shape == (2, 3, 4, 4) and torch.allclose(wide.mean(dim=(2, 3)), hidden.mean(dim=1))
    assert pooled(hidden[:, :16], (), 2).shape == (2, 3, 2, 2)
    with pytest.raises(InputError, match="no picture"):
        pooled(hidden, (), 4)


# errors


def test_a_block_that_is_not_there_is_named_with_those_that_are(pipelines: Path) -> None:
    with pytest.raises(InputError, match=r"no mid_block\.nothing; its attentions to words are \['down_blocks"):
        captured(pipelines, "sd1", blocks=("mid_block.nothing",)).open()


def test_a_step_beyond_the_schedule_is_refused() -> None:
    with pytest.raises(InputError, match="after step 4 of 3"):
        CapturedDiffusion(steps=3, keep=Early(steps=(4,)))
    with pytest.raises(InputError, match="steps count from 1"):
        Early(steps=(0,))


def test_what_is_no_pipeline_is_refused() -> None:
    with pytest.raises(InputError, match="expected a pipeline of diffusers"):
        StepHook.of(object())


# on disk


def run_of(pipelines: Path, folder: Path) -> Store:
    """Five prompts in units of three, through the tiny pipeline."""
    stage = captured(pipelines, "sd1")
    items = [Sample.from_prompt(Prompt(f"key number {index}"), 0) for index in range(5)]
    plan = Plan((stage, Encode()), items, unit_size=3, seed=0, pack=PackCaptures())
    store = open_store(str(folder))
    round_ = open_round(store, "rounds/000-generate", plan)
    list(run_units("local", None, plan, round_, pending(round_)))
    return store


def test_captures_lie_beside_the_pictures_and_are_read_by_key(pipelines: Path, tmp_path: Path) -> None:
    store = run_of(pipelines, tmp_path / "run")
    reader = CaptureReader.of(store)
    keys = sorted(reader.places)
    assert len(keys) == 5
    arrays = reader.read([keys[4], keys[0]])
    assert at_step(arrays[0], 2).keys() == {"latent", "noise", "words", "down_1_0_0", "up_0_0_0"}
    assert (arrays[0]["latent_2"] != arrays[1]["latent_2"]).any()
    early = reader.stacked(keys, 0.7)  # 2 of 3 steps
    assert early.keys() == at_step(arrays[0], 2).keys() and early["latent"].shape == (5, 4, 16, 16)
    assert (early["latent"][4] == arrays[0]["latent_2"]).all()
    with pytest.raises(InputError, match="nothing was kept of the drawing of nobody"):
        reader.read(["nobody"])
    assert not verify_run(store, GroupRules()).problems


def test_the_tar_says_what_each_array_is_and_opens_as_webdataset(pipelines: Path, tmp_path: Path) -> None:
    import webdataset

    run_of(pipelines, tmp_path / "run")
    tar = tmp_path / "run/rounds/000-generate/captures/unit-000000.tar"
    (first, *_) = webdataset.WebDataset(str(tar), shardshuffle=False).decode()
    assert first["npz"]["latent_2"].dtype == np.float16
    said = first["json"]
    assert (
        said["of_steps"] == 3 and said["names"] == list(first["npz"]) and said["revision"] and said["timesteps"][0] > 0
    )


def test_the_same_run_gives_the_same_bytes(pipelines: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        run_of(pipelines, tmp_path / name)
    tars = [(tmp_path / name / "rounds/000-generate/captures/unit-000001.tar").read_bytes() for name in ("one", "two")]
    assert tars[0] == tars[1]


def test_revoking_a_sample_takes_its_captures_too(pipelines: Path, tmp_path: Path) -> None:
    store = run_of(pipelines, tmp_path / "run")
    gone, *left = sorted(CaptureReader.of(store).places)
    enter(store, [gone], "asked for")
    remove(store, [gone])
    reader = CaptureReader.of(store)
    assert sorted(reader.places) == left
    for arrays, key in zip(reader.read(left), left, strict=True):
        assert "latent_2" in arrays, key
    for tar in (tmp_path / "run/rounds/000-generate/captures").glob("*.tar"):
        with tarfile.open(fileobj=io.BytesIO(tar.read_bytes())) as file:
            assert not [name for name in file.getnames() if name.startswith(gone)]


def test_a_child_has_none_of_its_parents_captures() -> None:
    parent = CapturedSample.of(samples(1)[0], [CapturedArray("latent", 1, 999.0, np.zeros((1,), np.float16))])
    assert parent.with_(width=3).caught and not parent.derive("blur", 0).caught


def test_a_run_that_kept_nothing_says_how_to(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--recipe in_diffusion"):
        CaptureReader.of(open_store(str(tmp_path)))


def test_the_recipe_wants_restricted_for_weights_from_outside(pipelines: Path) -> None:
    config = RunConfig(out="nowhere", recipe="in_diffusion", model=directory(pipelines, "sd1"))
    with pytest.raises(InputError, match="--restricted"):
        in_diffusion(config)
    recipe = in_diffusion(RunConfig(out="nowhere", recipe="in_diffusion"))
    assert isinstance(recipe.pack, PackCaptures)
