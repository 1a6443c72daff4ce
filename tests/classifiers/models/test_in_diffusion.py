"""Detectors of an early drawing: they learn, keep the denoiser's attention as it is, and stop a picture before it is made."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

from classifiers.families.in_diffusion import InDiffusion
from classifiers.layers.frozen_attention import attentions_of, embedded
from classifiers.models.wukong import GRIDS, Wukong
from classifiers.saved import build, load
from pipeline.storage.weights import model_directory
from schemas.capture import BLOCKS, WORDS, at_step, block_name, step_of
from schemas.errors import InputError
from schemas.protocols import Inputs, Targets
from stages.generate.guarded_pipeline import GuardedPipeline

KINDS = ("latent_probe", "predicted_noise", "wukong")
MIDDLE, UP = map(block_name, BLOCKS)
CLIP = "assets/world/clip"


def captures(count: int, seed: int = 0) -> dict[str, Tensor]:
    """As the embedded world's drawings give them."""
    draw = torch.Generator().manual_seed(seed)
    shapes = {"latent": (4, 16, 16), "noise": (4, 16, 16), MIDDLE: (160, 4, 4), UP: (96, 4, 4), WORDS: (77, 128)}
    return {name: torch.randn(count, *shape, generator=draw) for name, shape in shapes.items()}


def rows(count: int, seed: int = 0) -> Inputs:
    return Inputs(("a prompt",) * count, captures=captures(count, seed))


@cache
def made(kind: str) -> InDiffusion:
    torch.manual_seed(0)
    model = build(kind, model_directory(CLIP))
    assert isinstance(model, InDiffusion)
    return model


def planted(kind: str, count: int = 32) -> tuple[Inputs, Targets]:
    """Unsafe rows have something in one corner of everything that is laid out like the picture."""
    inputs, unsafe = rows(count), (torch.arange(count) % 2).float()
    for name in captures(1):
        if name != WORDS:
            inputs.captures[name][unsafe > 0, :2, :2, :2] += 4.0
    categories = torch.zeros(count, len(made(kind).categories))
    categories[:, 3] = unsafe
    return inputs, Targets({"image": unsafe}, {"image": categories}, torch.ones(count))


@pytest.mark.parametrize("kind", KINDS)
def test_a_detector_learns_and_its_directory_gives_the_same_back(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = build(kind, model_directory(CLIP)).train()
    inputs, targets = planted(kind)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, 3e-3)
    for _ in range(30):
        optimiser.zero_grad()
        torch.autograd.backward(model.losses(inputs, targets)["loss"])
        optimiser.step()
    model.eval().calibrate([(inputs, targets)], 0.05)
    right = (model.logits(inputs).argmax(dim=1) == targets.unsafe["image"]).float().mean()
    assert right > 0.9 and model.scope == "image"
    model.save(tmp_path / "kept")
    again = load(tmp_path / "kept")
    assert isinstance(again, InDiffusion) and again.share == 0.2 and again.reads == model.reads
    assert torch.equal(again.logits(inputs), model.logits(inputs))
    named = model.score(inputs).categories["image"][:, 3]
    assert named[1::2].mean() > named[::2].mean() + 0.3


@pytest.mark.parametrize("kind", KINDS)
def test_no_rows_score_depends_on_its_company(kind: str) -> None:
    model, inputs = made(kind), rows(5)
    together = model.score(inputs).unsafe["image"]
    alone = torch.cat([model.score(inputs.rows([row])).unsafe["image"] for row in range(5)])
    assert torch.allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_missing_is_named_and_words_that_nothing_was_drawn_from_are_refused(kind: str) -> None:
    model = made(kind)
    with pytest.raises(InputError, match="which these rows lack; generate with --recipe in_diffusion"):
        model.score(Inputs(("a prompt",)))
    with pytest.raises(InputError, match="by drawing anew"):
        model.logits(rows(1), torch.zeros(1, 77, 128))
    assert "prompt" not in model.coverage.reads, "an attack on words must not find it blind and call it robust"


def test_the_denoisers_own_attention_is_copied_and_never_trained() -> None:
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel.from_pretrained("assets/world/t2i/unet", local_files_only=True)
    own = dict(unet.named_modules())
    for frozen in embedded():
        assert torch.equal(frozen.to_k.weight, own[frozen.form.path].to_k.weight)
        assert not any(p.requires_grad for p in frozen.parameters())
    with pytest.raises(InputError, match="no attention to words at mid_block"):
        attentions_of(unet, ["mid_block"])


def test_what_a_place_reads_is_what_the_denoisers_attention_gives_it() -> None:
    """The frozen copy against diffusers' module, before its output projection (which is linear, so it is put on both)."""
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel.from_pretrained("assets/world/t2i/unet", local_files_only=True)
    (frozen,) = attentions_of(unet, BLOCKS[:1])
    own = dict(unet.named_modules())[BLOCKS[0]]
    seen = captures(2)
    places = seen[MIDDLE].flatten(2).transpose(1, 2)
    _, values = frozen(seen[MIDDLE], seen[WORDS])
    read = values - frozen.to_q(places)
    with torch.no_grad():
        assert torch.allclose(own.to_out[0](read), own(places, encoder_hidden_states=seen[WORDS]), atol=1e-4)


def test_wukong_reads_words_places_and_the_early_drawing() -> None:
    model, inputs = made("wukong"), rows(6)
    plain = model.logits(inputs)
    for name in (WORDS, MIDDLE, UP, *GRIDS):
        mixed: Mapping[str, Tensor] = {**inputs.captures, name: inputs.captures[name].roll(1, 0)}
        assert (model.logits(Inputs(inputs.prompts, captures=mixed)) - plain).abs().max() > 1e-4, name


def test_captures_of_another_denoiser_are_refused() -> None:
    other = {**captures(1), MIDDLE: torch.zeros(1, 8, 4, 4)}
    with pytest.raises(InputError, match="these rows were drawn by another model"):
        made("wukong").score(Inputs(("a prompt",), captures=other))
    with pytest.raises(InputError, match=r"expected \[n, 4, height, width\]"):
        made("latent_probe").score(Inputs(("a prompt",), captures={"latent": torch.zeros(1, 16, 64)}))


def test_wukong_takes_the_attention_of_any_denoiser(pipelines: Path, tmp_path: Path) -> None:
    from diffusers import DiffusionPipeline

    from stages.generate.capture import cross_attentions
    from tests.support.drawing import directory

    model = made("wukong")
    for family in ("sdxl", "pixart"):
        pipeline = DiffusionPipeline.from_pretrained(directory(pipelines, family))
        denoiser = getattr(pipeline, "unet", None) or pipeline.transformer
        paths = cross_attentions(denoiser)[:1]
        small = Wukong(model.encoder, ("hate",), family, attentions_of(denoiser, paths)).eval()
        guard = GuardedPipeline(pipeline, early=small)
        binned = {"use_resolution_binning": False, "clean_caption": False} if family == "pixart" else {}
        answer = guard(["a key"], num_inference_steps=5, height=32, width=32, output_type="np", **binned)
        assert len(answer.refusals) == 1
        small.save(tmp_path / family)
        assert load(tmp_path / family).coverage.reads == {block_name(paths[0]), WORDS, *GRIDS}


def test_the_embedded_world_is_guarded_in_three_lines(tmp_path: Path) -> None:
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained("assets/world/t2i", safety_checker=None, local_files_only=True)
    model = made("wukong")
    model.save(tmp_path / "wukong")
    early = load(tmp_path / "wukong")
    early.threshold = 0.0  # flags everything
    answer = GuardedPipeline(pipeline, early=early)(["a red apple", "a dog"], num_inference_steps=10)
    assert answer.images == [None, None] and [r.step for r in answer.refusals if r] == [2, 2]
    assert answer.evaluations == 2 * 2 * 2, "two rows, two steps, guidance doubles them"


def test_the_step_is_a_share_of_the_schedule_and_at_least_one() -> None:
    assert [step_of(0.2, steps) for steps in (1, 4, 10, 25, 50)] == [1, 1, 2, 5, 10]
    assert at_step({"latent_1": 1, "latent_12": 2, "words": 3}, 2) == {"words": 3}  # type: ignore[dict-item]


def test_wukong_trains_without_the_words_of_some_rows_and_judges_with_all(monkeypatch: pytest.MonkeyPatch) -> None:
    model, inputs = build("wukong", model_directory(CLIP)), rows(6)
    other = Inputs(inputs.prompts, captures={**inputs.captures, WORDS: inputs.captures[WORDS].roll(1, 0)})

    def moved(share: float) -> Tensor:
        monkeypatch.setattr("classifiers.models.wukong.WORDLESS", share)
        seen = []
        for each in (inputs, other):
            torch.manual_seed(0)
            seen.append(model(each)["image"])
        return (seen[0] - seen[1]).abs().amax(dim=1) > 1e-5

    model.train()
    assert not moved(1.0).any() and moved(0.0).all() and 0 < moved(0.5).sum() < 6
    model.eval()
    assert moved(1.0).all()
