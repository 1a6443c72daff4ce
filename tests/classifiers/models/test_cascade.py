"""The cascade decides by its stages as it says, at the false-positive rate it was given, and hides no gradient."""

import pytest
import torch
from torch import Tensor

from classifiers.layers.calibration import cut_of_safe, cut_of_unsafe
from classifiers.models.cascade import Cascade
from classifiers.saved import load
from schemas.errors import InputError
from schemas.protocols import Inputs, Staged
from stages.attack.joint import Joint
from tests.support.small_squares import square_rows, trained_on_square


def with_edges(unsafe: float, safe: float) -> Cascade:
    """The same weights, with other ideas of what is obvious."""
    model = trained_on_square()
    other = Cascade(model.encoder, model.categories, "cascade")
    other.load_state_dict(model.state_dict())
    other.threshold, other.obvious_unsafe, other.obvious_safe = model.threshold, unsafe, safe
    return other.eval()


@torch.no_grad()
def either(model: Cascade, inputs: Inputs) -> Tensor:
    return model.unimodal(*model.towers(model.features(inputs))).logsumexp(dim=1)


def between_rows(inputs: Inputs) -> float:
    """An edge in the widest gap between two rows, so that none lies on it."""
    told = either(trained_on_square(), inputs).sort().values
    gap = int(told.diff().argmax())
    return float(told[gap : gap + 2].mean())


def test_scores_logits_and_stages_tell_one_decision() -> None:
    inputs, _ = square_rows(4, seed=3)
    middle = between_rows(inputs)
    for model in (
        trained_on_square(),
        with_edges(middle, middle - 0.05),
        with_edges(middle + 9, middle),
        with_edges(9, 8),
    ):
        flagged = model.score(inputs).unsafe["pair"] > model.threshold
        with torch.no_grad():
            features = model.features(inputs)
            assert torch.equal(flagged, model.margin_of(features) > 0)
            margins, obvious = model.stage_margins(inputs), either(model, inputs)
        by_hand = (obvious > model.obvious_unsafe) | ((obvious >= model.obvious_safe) & (margins[:, 2] > 0))
        assert torch.equal(flagged, by_hand)
        for stage, said in zip(model.decided_by(features), obvious, strict=True):
            between = model.obvious_safe <= float(said) <= model.obvious_unsafe
            assert (stage == "fusion") == between


def test_what_only_both_together_tell_is_left_to_fusion_and_judged_right() -> None:
    model = trained_on_square()
    inputs, truth = square_rows(5, seed=4)
    assert set(model.decided_by(model.features(inputs))) == {"fusion"}
    flagged = model.score(inputs).unsafe["pair"] > model.threshold
    assert float((flagged == (truth.unsafe["pair"] > 0)).float().mean()) >= 0.9


def test_the_rate_of_false_positives_is_kept_on_the_rows_it_was_set_on() -> None:
    model = with_edges(12.0, -12.0)
    inputs, targets = square_rows(6, seed=5)
    for rate in (0.05, 0.25, 0.5):
        model.calibrate([(inputs, targets)], rate)
        flagged = model.score(inputs).unsafe["pair"] > model.threshold
        assert float(flagged[targets.unsafe["pair"] == 0].float().mean()) <= rate
    with pytest.raises(InputError, match="no validation row is known to be safe"):
        model.calibrate([], 0.05)


def test_the_margin_has_a_gradient_in_every_stage_and_no_step_between_them() -> None:
    inputs, _ = square_rows(2, seed=6)
    middle = between_rows(inputs)
    for edges in ((middle, -12.0), (12.0, -12.0), (12.0, middle)):
        model = with_edges(*edges)
        pixels = inputs.pixels.clone().requires_grad_(True)  # type: ignore[union-attr]
        model.logits(Inputs(inputs.prompts, pixels))[:, 1].sum().backward()
        assert pixels.grad is not None
        assert bool(pixels.grad.flatten(1).any(dim=1).all())
    model = with_edges(middle, middle - 1)
    edge = torch.tensor([middle - 1e-5, middle + 1e-5])
    fused = torch.tensor([-3.0, -3.0])
    low, high = model._decision(edge, fused).tolist()
    assert abs(high - low) < 1e-4


def test_passing_all_stages_passes_the_cascade() -> None:
    model = trained_on_square()
    inputs, _ = square_rows(3, seed=7)
    assert isinstance(model, Staged)
    with torch.no_grad():
        margins = model.stage_margins(inputs)
        flagged = model.logits(inputs)[:, 1] > 0
    assert margins.shape == (len(inputs), 3) and bool(flagged.any())
    assert not bool(flagged[(margins <= 0).all(dim=1)].any())


@pytest.mark.parametrize("label", [0, 1])
def test_the_joint_attack_turns_a_cascade_through_its_stages_too(label: int) -> None:
    """What it says of a row is what the deployed decision says of what it made."""
    model = trained_on_square()
    inputs, targets = square_rows(3, seed=7)
    with torch.no_grad():
        right = (model.logits(inputs)[:, 1] > 0) == (targets.unsafe["pair"] > 0)
    rows = [row for row in range(len(inputs)) if bool(right[row]) and int(targets.unsafe["pair"][row]) == label][:3]
    labels, keys = torch.full((len(rows),), label), [f"row {row}" for row in rows]
    attack = Joint(epsilon=16 / 255, edit_budget=2, steps=8, query_budget=40)
    decision = attack.attack_all((model,), inputs.rows(rows), labels, keys)
    made = attack.attack(model, inputs.rows(rows), labels, keys)
    with torch.no_grad():
        turned = ((model.logits(made.inputs)[:, 1] > 0) != (labels == 1)).tolist()
    assert turned == [bool(record.achieved) for record in made.records]
    for one, other in zip(decision.records, made.records, strict=True):
        assert not one.achieved or other.achieved
        assert one.achieved or (other.queries or 0) > (one.queries or 0), "asked again, of the stages"


def test_the_edges_are_saved(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("models") / "cascade"
    model = with_edges(1.5, -2.5)
    model.save(folder)
    again = load(folder)
    assert isinstance(again, Cascade) and (again.obvious_unsafe, again.obvious_safe) == (1.5, -2.5)
    inputs, _ = square_rows(1, seed=8)
    assert torch.allclose(again.logits(inputs), model.logits(inputs), atol=1e-6)


def test_a_cut_leaves_just_the_share_allowed_beyond_it() -> None:
    margins, unsafe = torch.arange(100.0) / 10, torch.zeros(100)
    for share, beyond in ((0.05, 5), (0.001, 0), (0.999, 99)):
        assert int((margins > cut_of_safe(margins, unsafe, share)).sum()) == beyond
    assert int((margins <= cut_of_unsafe(margins, 1 - unsafe, 0.05)).sum()) == 5
    unknown = torch.full((100,), float("nan"))
    with pytest.raises(InputError, match="no validation row"):
        cut_of_safe(margins, unknown, 0.05)
    with pytest.raises(InputError, match="expected a share"):
        cut_of_safe(margins, unsafe, 5)
