"""The two attack protocols keep their own budgets, and do what foolbox does with the published settings."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from classifiers.unsafebench.dataset.images import REAL, Picture, tensor_of
from classifiers.unsafebench.judges.predictions import agreeing
from classifiers.unsafebench.robustness.attacks import ATTACKS, COMPAT, EPSILON, PIXEL, arena, attack_rows, carried_out
from classifiers.unsafebench.robustness.targeted_loss import Targeted, likelihoods_of
from classifiers.zoo.backbone import Backbone
from classifiers.zoo.nude_net import NudeNetJudge
from classifiers.zoo.picture_judge import PictureJudge
from schemas.protocols import Inputs
from stages.attack.pixels.fgsm import fgsm

STEPS = 100  # the published number: with fewer than 30 the published step does not reach the edge of the ball


class Slant(Backbone):
    """Sees the mean of a picture along a few fixed patterns, after CLIP's normalisation."""

    def __init__(self) -> None:
        super().__init__(16, 4, (0.48, 0.46, 0.41), (0.27, 0.26, 0.28))
        draw = torch.Generator().manual_seed(3)
        self.patterns = nn.Parameter(torch.randn((4, 3, 16, 16), generator=draw).sign(), requires_grad=False)

    def vectors(self, normalised: Tensor) -> Tensor:
        return torch.einsum("nchw,kchw->nk", normalised, self.patterns) / self.patterns[0].numel()


class Judge(PictureJudge):
    """Linear in what it sees, so that the least perturbation that fools it is known."""

    name = "slant"
    claims = ("hate",)

    def margins(self, vectors: Tensor) -> Tensor:
        return vectors[:, :1] * 10


@cache
def pictures() -> tuple[Picture, ...]:
    rng, judge, found = np.random.default_rng(5), Judge(Slant()), []
    for number in range(24):
        pixels = rng.integers(8, 248, (16, 16, 3), dtype=np.uint8)
        made = Picture(f"{number:032x}", pixels, REAL, "hate", False)
        unsafe = bool(judge.logits(Inputs(("",), tensor_of([made])))[0, 1] > 0)
        found.append(Picture(made.key, pixels, REAL, "hate", unsafe))
    return tuple(found)


def rows(protocol: str) -> dict[str, list[dict[str, object]]]:
    found, _ = attack_rows(Judge(Slant()), pictures(), protocol, iterations=STEPS)
    return {attack: [row for row in found if row["attack"] == attack] for attack in ATTACKS}


@pytest.mark.parametrize("protocol", [COMPAT, PIXEL])
def test_every_attack_keeps_its_budget_and_finds_what_is_there(protocol: str) -> None:
    found = rows(protocol)
    levels = 2 / 255 if protocol == PIXEL else EPSILON
    for attack in ("fgsm", "pgd", "deep_fool"):
        assert all(float(str(row["distance"])) <= levels + 1e-5 for row in found[attack])
        for row in found[attack]:  # linear: within reach of the budget means fooled
            unit = 1 / 0.27 if protocol == PIXEL else 1.0
            near = abs(float(str(row["margin_before"]))) < 0.9 * 10 * levels * unit
            assert row["fooled"] or not near
    assert any(row["fooled"] for row in found["pgd"])
    assert sum(bool(r["fooled"]) for r in found["pgd"]) >= sum(bool(r["fooled"]) for r in found["fgsm"])


def test_published_gaussian_noise_moves_a_picture_by_a_thousandth_of_a_level_and_ours_by_levels() -> None:
    compat, pixel = ([float(str(row["distance"])) for row in rows(p)["gaussian"]] for p in (COMPAT, PIXEL))
    assert max(compat) < 0.01 * 0.2  # the whole tensor has a norm of 0.01: 768 values share it
    assert min(pixel) >= 2 / 255
    assert not any(row["fooled"] for row in rows(COMPAT)["gaussian"] if abs(float(str(row["margin_before"]))) > 0.005)


def test_compat_is_foolbox_with_the_published_settings() -> None:
    foolbox = pytest.importorskip("foolbox")
    judge = Judge(Slant()).eval()
    pixels, labels = tensor_of(pictures()), torch.tensor([int(picture.unsafe) for picture in pictures()])

    class Logits(nn.Module):
        def forward(self, normalised: Tensor) -> Tensor:
            margin = judge.margin_of_normalised(normalised)
            return torch.stack([-margin, margin], dim=1)

    model = foolbox.PyTorchModel(Logits().eval(), bounds=(-3, 3), device="cpu")
    seen = judge.eyes.normalised(pixels)
    at = arena(COMPAT, judge, pixels, labels, STEPS)
    assert at is not None
    theirs = {
        "fgsm": foolbox.attacks.LinfFastGradientAttack(),
        "pgd": foolbox.attacks.LinfProjectedGradientDescentAttack(steps=100),
        "deep_fool": foolbox.attacks.LinfDeepFoolAttack(steps=100, candidates=2),
    }
    for attack, their in theirs.items():
        _, clipped, fooled = their(model, seen, labels, epsilons=EPSILON)
        made = carried_out(attack, at, [picture.key for picture in pictures()])
        ours = at.victim.margin(made, at.victim.all_rows()) <= 0
        assert int((ours != fooled).sum()) <= 1, attack  # one may lie on the edge
        assert float((clipped - seen).abs().max()) <= EPSILON + 1e-5


def test_a_network_with_its_own_range_is_attacked_in_it() -> None:
    judge = NudeNetJudge.untrained(16)
    pixels = tensor_of(pictures()[:2])
    at = arena(COMPAT, judge, pixels, torch.ones(2).long(), STEPS)
    assert at is not None and at.unit == 2.0 and at.epsilon == EPSILON / 2
    assert torch.allclose(at.victim.clean, pixels, atol=1e-6)


def test_what_has_no_normalised_input_is_left_out_of_compat() -> None:
    class Elsewhere:
        name = "elsewhere"

    assert arena(COMPAT, Elsewhere(), tensor_of(pictures()), torch.ones(24), STEPS) is None  # type: ignore[arg-type]


class Speaker:
    """Says "safe", "unsafe" or something else: three logits of which only two are words of the answer."""

    name = "speaker"

    def logits(self, inputs: Inputs, embeddings: Tensor | None = None) -> Tensor:
        assert inputs.pixels is not None
        level = inputs.pixels.mean(dim=(1, 2, 3))
        words = torch.stack([-20 * level, 20 * (level - 1), 60 * (level - 0.5)], dim=1)  # the brighter, the more "else"
        return words.log_softmax(dim=1)[:, :2]


def test_the_targeted_attack_raises_the_opposite_answer() -> None:
    pixels, labels = torch.full((2, 3, 8, 8), 0.5), torch.tensor([1, 0])
    pixels[0] += 0.002
    pixels[1] -= 0.002
    victim = Targeted(likelihoods_of(Speaker()), pixels, labels)  # type: ignore[arg-type]
    rows = victim.all_rows()
    assert (victim.margin(pixels, rows) > 0).all()
    moved = fgsm(victim, EPSILON)
    before, after = (Speaker().logits(Inputs(("", ""), each)) for each in (pixels, moved))
    assert after[0, 0] > before[0, 0]
    assert victim.fooled(victim.margin(moved, rows), rows)[0]
    # The unsafe row is made darker, towards "safe". For the safe one brightness raises "else" faster than "unsafe", and the target
    # is still what is climbed.
    slope, loss, _ = victim.gradient(pixels, rows)
    assert torch.equal(loss, torch.stack([before[0, 0], before[1, 1]])) and bool((slope[0] < 0).all())


def test_a_language_model_is_attacked_only_where_its_likelihood_decides_as_its_verdict() -> None:
    pictures_ = [
        Picture(f"{n:032x}", np.full((8, 8, 3), level, np.uint8), REAL, "hate", True)
        for n, level in enumerate((90, 200))
    ]
    speaker = Speaker()  # the bright one is "unsafe" to it, the dark one "safe"
    rows: list[dict[str, Any]] = [
        {"key": each.key, "flagged": flagged} for each in pictures_ for flagged in (True, False)
    ]
    kept = agreeing(speaker, rows, {each.key: each for each in pictures_}, 8)  # type: ignore[arg-type]
    assert kept == [rows[1], rows[2]]
