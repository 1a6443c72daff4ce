"""Tables 6 and 7: what stands for others' sets is read through their readers, and every judge is measured by the same code."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.kept import kept
from bench.perspective import sets
from bench.perspective.__main__ import orderings, table6
from bench.perspective.judging import Flags, flags
from bench.perspective.layouts import SMID, VIOLENCE, external_sets, stand_ins
from bench.perspective.methods import COMMITTED, METHODS, PROBE, PROMPTS, VLM, WORDS
from bench.perspective.robustness import Opened, robust_accuracy
from bench.perspective.sets import IN, IN_SINGLES, SIDE, second_vendor
from bench.perspective.zoo import ZOO, zoo
from classifiers.families.perspective import Perspective
from classifiers.saved import load
from classifiers.unsafebench.robustness.attacks import ATTACKS, COMPAT, PIXEL
from schemas.errors import InputError
from schemas.protocols import Differentiable, Inputs

OUTSIDE = ("held_out_style", "second_vendor", SMID)


@cache
def fitted() -> dict[str, Differentiable]:
    """The zoo from a small school."""
    return zoo(120)


def methods() -> dict[str, Callable[[], Differentiable]]:
    return {name: lambda name=name: load(COMMITTED[name]) for name in (WORDS, VLM)} | {  # type: ignore[misc]
        name: lambda name=name: fitted()[name] for name in ("multi_headed", "nude_net")
    }


def test_the_stand_ins_are_read_in_their_layouts_with_the_labels_they_were_written_with(tmp_path: Path) -> None:
    smid, violence = external_sets(stand_ins(tmp_path, 20), SIDE)
    assert (smid.name, violence.name, len(smid), len(violence)) == (SMID, VIOLENCE, 20, 20)
    assert len(list((tmp_path / SMID).glob("*.jpg"))) == 22, "those with middling scores are left out"
    assert violence.unsafe.sum() == 10 and 0 < smid.unsafe.sum() < 20
    assert {pixels.shape for each in (smid, violence) for pixels in each.pixels} == {(SIDE, SIDE, 3)}
    again = external_sets(stand_ins(tmp_path, 20), SIDE)
    assert all(np.array_equal(a, b) for a, b in zip(smid.pixels, again[0].pixels, strict=True))


def test_an_external_set_without_pictures_or_with_anothers_name_is_refused(tmp_path: Path) -> None:
    text = stand_ins(tmp_path, 4)
    with pytest.raises(InputError, match="two sets are called smid_layout"):
        external_sets(f"{text},{text}", SIDE)
    (tmp_path / "norms.csv").write_text("img_name,moral_mean\n")
    with pytest.raises(InputError, match="no pictures in it"):
        external_sets(f"{tmp_path / 'norms.csv'}={tmp_path}", SIDE)


def made_up() -> list[sets.TestSet]:
    pixels = [np.zeros((4, 4, 3), np.uint8)] * 6
    labels: list[tuple[str, ...]] = [("hate",), ("hate",), ("hate",), (), (), ()]
    return [sets.TestSet(name, pixels, labels) for name in (IN, IN_SINGLES, *OUTSIDE)]


def test_the_average_out_of_distribution_is_of_all_sets_but_the_two_in_it() -> None:
    right = made_up()[0].unsafe
    f1s = table6({"judge": [right, right, ~right, right, right]}, made_up())
    assert [f1s["judge"][name]["value"] for name in (IN, *OUTSIDE)] == [1.0, 0.0, 1.0, 1.0]
    assert f1s["judge"]["ood_average"] == pytest.approx(2 / 3, abs=1e-4)
    assert f1s["flag_everything"]["ood_average"] == pytest.approx(2 / 3, abs=1e-4)


def test_the_orderings_compare_in_and_out_of_distribution() -> None:
    right = made_up()[0].unsafe
    good_inside: list[Flags] = [right, right, ~right, ~right, ~right]
    good_outside: list[Flags] = [~right, ~right, right, right, right]
    found = orderings({PROBE: good_inside, WORDS: good_inside, PROMPTS: good_outside, VLM: good_outside}, made_up())
    assert found["probe_over_prompts_in_distribution"]["value"] == 1.0
    assert found["vlm_over_probe_out_of_distribution"]["value"] == 1.0
    assert found["vlm_over_prompts_out_of_distribution"]["value"] == 0.0


def test_the_zoo_judges_the_same_pictures() -> None:
    pictures = second_vendor(8)
    assert tuple(fitted()) == ZOO and not set(ZOO) & set(METHODS)
    said = {name: flags(judge, pictures) for name, judge in fitted().items()}
    assert {each.shape for each in said.values()} == {(8,)}
    assert np.array_equal(said["q16+nude_net"], said["q16"] | said["nude_net"])


@pytest.mark.parametrize("name", [WORDS, VLM])
def test_a_methods_normalised_input_gives_its_own_decision_and_gradients(name: str) -> None:
    model = load(COMMITTED[name])
    assert isinstance(model, Perspective)
    pixels, opened = second_vendor(3).tensor(range(3)), Opened(model)
    seen = opened.eyes.normalised(pixels).requires_grad_(True)
    margin = opened.margin_of_normalised(seen)
    assert torch.allclose(margin, model.logits(Inputs(("",) * 3, pixels))[:, 1], atol=1e-4)
    (slope,) = torch.autograd.grad(margin.sum(), seen)
    assert bool(slope.flatten(1).any(dim=1).all())


@pytest.mark.parametrize("name", methods())
def test_every_judge_is_attacked_under_both_protocols(name: str) -> None:
    found = robust_accuracy(methods()[name](), second_vendor(16), count=2, iterations=3)
    for protocol in (COMPAT, PIXEL):
        each = [found[protocol][attack]["value"] for attack in ATTACKS]
        assert found[protocol]["worst"]["value"] <= min(each) <= found[protocol]["average"] <= 1
        assert found[protocol]["worst"]["n"] == 2 and 0 <= found["unsafe"] <= 2


def test_the_rule_of_two_is_attacked_at_the_pixels_only() -> None:
    found = robust_accuracy(fitted()["q16+nude_net"], second_vendor(16), count=2, iterations=3)
    assert PIXEL in found and COMPAT not in found


def test_figures_are_kept_as_long_as_they_are_of_the_same(tmp_path: Path) -> None:
    file, worked = tmp_path / "attacked" / "a.json", []

    def work() -> dict[str, int]:
        worked.append(1)
        return {"value": len(worked)}

    assert [kept(file, mark, work)["value"] for mark in ("a", "a", "b", "b")] == [1, 1, 2, 2]
