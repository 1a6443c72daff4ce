"""The classifiers that UnsafeBench judges keep the contract, load the published layouts, and learn on any CLIP."""

import importlib
import pickle
import pkgutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import classifiers.zoo
from classifiers.layers.encoder import ClipEncoder
from classifiers.zoo.backbone import ClipEyes, pooled
from classifiers.zoo.either import Either
from classifiers.zoo.fitting import FittingSet
from classifiers.zoo.multi_headed import FILES, MultiHeaded, head
from classifiers.zoo.nsfw_detector import NsfwDetector
from classifiers.zoo.nude_net import NudeNetJudge
from classifiers.zoo.picture_judge import PictureJudge
from classifiers.zoo.q16 import Q16Judge
from classifiers.zoo.sd_filter import SdFilter
from pipeline.storage.weights import model_directory
from schemas.errors import InputError
from schemas.protocols import Differentiable, Inputs
from schemas.taxonomy import UNSAFEBENCH
from tests.support.tiny_models import safety_checker

INPUTS = Inputs(("",) * 3, torch.rand((3, 3, 64, 64), generator=torch.Generator().manual_seed(0)))
PIXELS = INPUTS.pixels
assert PIXELS is not None


@cache
def encoder() -> ClipEncoder:
    return ClipEncoder.from_directory(model_directory("assets/world/clip"))


def eyes() -> ClipEyes:
    return ClipEyes.of(encoder())


BUILT: dict[str, Callable[[], PictureJudge]] = {
    "Q16Judge": lambda: Q16Judge.untrained(encoder()),
    "MultiHeaded": lambda: MultiHeaded.untrained(encoder()),
    "NsfwDetector": lambda: NsfwDetector.untrained(encoder()),
    "SdFilter": lambda: SdFilter.untrained(encoder(), ["a kiss", "a peach"], ["a skull"]),
    "NudeNetJudge": lambda: NudeNetJudge.untrained(),
}
each = pytest.mark.parametrize("build", BUILT.values(), ids=BUILT)


def lesson(count: int = 90) -> FittingSet:
    """Vectors in which the category is written: one direction each."""
    draw = torch.Generator().manual_seed(1)
    names = ("", *UNSAFEBENCH.ids)
    categories = tuple(names[row % 2 and 1 + row // 2 % 11] for row in range(count))
    directions = torch.randn((len(names), encoder().width), generator=draw)
    vectors = torch.randn((count, encoder().width), generator=draw) * 0.2
    vectors += torch.stack([directions[names.index(name)] for name in categories])
    return FittingSet(vectors, torch.tensor([float(bool(name)) for name in categories]), categories)


def test_every_judge_in_the_package_is_tested_here() -> None:
    found = set()
    for module in pkgutil.iter_modules(classifiers.zoo.__path__, "classifiers.zoo."):
        for value in vars(importlib.import_module(module.name)).values():
            own = isinstance(value, type) and issubclass(value, PictureJudge) and value.__module__ == module.name
            if own and value is not PictureJudge:
                found.add(value.__name__)
    assert found == set(BUILT)


@each
def test_a_judge_keeps_the_contract(build: Callable[[], PictureJudge]) -> None:
    judge = build()
    assert isinstance(judge, Differentiable) and not judge.training
    assert set(judge.coverage.categories) <= set(UNSAFEBENCH.ids) and judge.coverage.reads == {"image"}
    scores, logits = judge.score(INPUTS), judge.logits(INPUTS)
    assert scores.categories["image"].shape == (3, len(judge.coverage.categories))
    assert torch.equal(logits[:, 1] > logits[:, 0], scores.unsafe["image"] > judge.threshold)
    assert torch.allclose(judge.logits(INPUTS.rows([1])), logits[1:2], atol=1e-4)
    assert judge.encode(["a", "b"]).shape == (2, 0) and judge.decode(judge.encode(["a"])[0]) == ""
    with pytest.raises(InputError, match="have none"):
        judge.score(Inputs(("",)))


@each
def test_gradients_reach_the_pixels(build: Callable[[], PictureJudge]) -> None:
    pixels = PIXELS.clone().requires_grad_(True)  # type: ignore[union-attr]
    build().logits(Inputs(INPUTS.prompts, pixels))[:, 1].sum().backward()
    assert pixels.grad is not None and bool((pixels.grad.flatten(1).abs().sum(1) > 0).all())


def test_the_class_token_alone_gives_what_the_whole_tower_gives() -> None:
    seen = eyes().normalised(PIXELS)  # type: ignore[arg-type]
    found = []
    for made in (lambda at: pooled(eyes().tower, at), lambda at: eyes().tower(pixel_values=at).pooler_output):
        at = seen.clone().requires_grad_(True)
        rows = made(at)
        found.append((rows.detach(), *torch.autograd.grad(rows.square().sum(), at)))
    for ours, theirs in zip(*found, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-4 * float(theirs.abs().max()))


@each
def test_a_head_comes_back_from_disk_and_another_one_is_refused(
    build: Callable[[], PictureJudge], tmp_path: Path
) -> None:
    judge, again = build(), build()
    for value in judge.state_dict().values():
        if value.is_floating_point():
            value.add_(0.01)
    judge.save_head(tmp_path)
    again.load_head(tmp_path)
    saved = {name for name in judge.state_dict() if not name.startswith("eyes.")}
    assert saved and all(torch.equal(again.state_dict()[name], judge.state_dict()[name]) for name in saved)
    other = Q16Judge.untrained(encoder()) if not isinstance(judge, Q16Judge) else MultiHeaded.untrained(encoder())
    with pytest.raises(InputError, match="wants"):
        other.load_head(tmp_path)


@pytest.mark.parametrize("kind", ["Q16Judge", "MultiHeaded", "NsfwDetector"])
def test_a_head_learns_what_its_labels_say(kind: str) -> None:
    judge, rows = BUILT[kind](), lesson()
    judge.fit(rows)  # type: ignore[operator]
    labels = rows.unsafe if kind == "Q16Judge" else rows.named(judge.claims)
    right = ((judge.margin(rows.vectors) > 0).float() == labels).float().mean()
    assert right > 0.9


def test_the_filter_of_stable_diffusion_keeps_to_its_false_positive_rate_and_finds_its_concept() -> None:
    rows = lesson()
    judge = SdFilter.untrained(encoder(), ["a kiss"], ["a skull"])
    judge.concepts.copy_(rows.vectors[[name == "sexual" for name in rows.categories]].mean(dim=0).expand(17, -1))
    judge.fit(rows)
    flagged = judge.margin(rows.vectors) > 0
    assert flagged[rows.unsafe == 0].float().mean() <= 0.05
    assert flagged[rows.named(["sexual"]) > 0].all()


def test_a_network_from_scratch_learns_red_from_blue() -> None:
    pixels = torch.rand((64, 3, 64, 64), generator=torch.Generator().manual_seed(2)) * 0.3
    labels = (torch.arange(64) % 2).float()
    pixels[labels == 1, 0] += 0.6
    pixels[labels == 0, 2] += 0.6
    judge = NudeNetJudge.untrained()
    judge.fit(pixels, labels)
    scores = judge.score(Inputs(("",) * 64, pixels)).unsafe["image"]
    assert ((scores > 0.5).float() == labels).float().mean() > 0.95
    with pytest.raises(InputError, match="both kinds"):
        judge.fit(pixels, torch.zeros(64))


def test_published_q16_is_one_array_and_a_pickle_is_refused(tmp_path: Path) -> None:
    prompts_ = np.random.default_rng(0).normal(size=(2, encoder().width)).astype(np.float32)
    np.save(tmp_path / "prompts.npy", prompts_)
    judge = Q16Judge.published(eyes(), tmp_path / "prompts.npy")
    unit = nn.functional.normalize(encoder().image(PIXELS), dim=-1)  # type: ignore[arg-type]
    cosines = unit @ nn.functional.normalize(torch.from_numpy(prompts_), dim=-1).T
    assert torch.equal(judge.score(INPUTS).unsafe["image"] > 0.5, cosines[:, 1] > cosines[:, 0])
    (tmp_path / "prompts.p").write_bytes(pickle.dumps(prompts_))
    with pytest.raises(InputError, match="A pickle can run code"):
        Q16Judge.published(eyes(), tmp_path / "prompts.p")
    np.save(tmp_path / "wide.npy", np.zeros((2, 768), np.float32))
    with pytest.raises(InputError, match="expected"):
        Q16Judge.published(eyes(), tmp_path / "wide.npy")


def test_published_multi_headed_is_five_state_dicts(tmp_path: Path) -> None:
    torch.manual_seed(5)
    heads = {name: head(encoder().width).eval() for name in FILES.values()}
    for name, made in heads.items():
        torch.save(made.state_dict(), tmp_path / f"{name}.pt")
    judge = MultiHeaded.published(eyes(), tmp_path)
    raw = judge.eyes.vectors(judge.eyes.normalised(PIXELS))  # type: ignore[arg-type]
    expected = torch.cat([made(raw).sigmoid() for made in heads.values()], dim=1)
    assert torch.allclose(judge.score(INPUTS).categories["image"], expected, atol=1e-6)
    (tmp_path / "hateful.pt").unlink()
    with pytest.raises(InputError, match="no such weights"):
        MultiHeaded.published(eyes(), tmp_path)


class Evil:
    """What a pickle may hold."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("ran",)


def test_published_nsfw_detector_is_the_ported_state_dict_and_code_in_it_does_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layers = {"norm.mean": torch.zeros(encoder().width), "norm.variance": torch.full((encoder().width,), 0.5)}
    for number, (inside, out) in enumerate(((encoder().width, 64), (64, 512), (512, 256), (256, 1)), 1):
        layers[f"linear_{number}.weight"] = torch.randn((out, inside)) * 0.1
        layers[f"linear_{number}.bias"] = torch.zeros(out)
    torch.save(layers, tmp_path / "head.pth")
    judge = NsfwDetector.published(eyes(), tmp_path / "head.pth")
    hidden: Tensor = encoder().image(PIXELS) / 0.5**0.5  # type: ignore[arg-type]
    for number in range(1, 5):
        hidden = hidden @ layers[f"linear_{number}.weight"].T
        hidden = hidden.relu() if number < 4 else hidden
    assert torch.allclose(judge.score(INPUTS).unsafe["image"], hidden[:, 0].sigmoid(), atol=1e-5)
    torch.save({"norm.mean": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(InputError, match="more than tensors"):
        NsfwDetector.published(eyes(), tmp_path / "evil.pth")
    assert "ran" not in capsys.readouterr().out


def test_published_safety_checker_decides_as_diffusers_does(tmp_path: Path) -> None:
    from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker

    folder = safety_checker(tmp_path)
    judge = SdFilter.published(folder)
    checker = StableDiffusionSafetyChecker.from_pretrained(folder)
    flagged = []
    for shift in (0.0, 0.3, 0.9):
        judge.limits.fill_(shift)
        checker.concept_embeds_weights.data.fill_(shift)
        seen = judge.eyes.normalised(PIXELS)  # type: ignore[arg-type]
        _, expected = checker(seen, np.zeros((3, 8, 8, 3)))
        flagged += (judge.score(INPUTS).unsafe["image"] > 0.5).tolist()
        assert flagged[-3:] == expected
    assert {True, False} == set(flagged)
    with pytest.raises(InputError, match="no safety checker"):
        SdFilter.published(tmp_path / "nowhere")


def test_either_flags_what_one_of_both_flags() -> None:
    first, second = Q16Judge.untrained(encoder()), NudeNetJudge.untrained()
    both = Either("q16+nude_net", [first, second])
    assert isinstance(both, Differentiable)
    assert both.coverage.categories == (*first.claims, "sexual")
    margins = torch.stack([judge.logits(INPUTS)[:, 1] for judge in (first, second)]).amax(dim=0)
    assert torch.equal(both.logits(INPUTS)[:, 1], margins)
    assert torch.equal(both.score(INPUTS).unsafe["image"], margins.sigmoid())
