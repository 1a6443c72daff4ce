"""Every attack on pixels keeps the eleven rules of correctness, also the one that is written tomorrow."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from schemas.errors import InputError
from schemas.prompt import Prompt
from schemas.protocols import Attack, Inputs
from schemas.sample import Sample
from stages.attack.joint import Joint
from stages.attack.pixel_attack import PixelAttack
from stages.attack.pixels.apgd import Apgd, checkpoints
from stages.attack.pixels.deep_fool import DeepFool, deep_fool
from stages.attack.pixels.fgsm import Fgsm
from stages.attack.pixels.gaussian import Gaussian
from stages.attack.pixels.pgd import Pgd, PGDConfig
from stages.attack.pixels.square import Square
from stages.attack.victim import Victim, at_rest, within
from tests.support.plugins import stage_classes
from tests.support.small_classifiers import Held, Needle, Sick, pictures, trained

MODEL = trained()
PIXELS, LABELS = pictures(48, seed=2)
INPUTS = Inputs(("",) * 48, PIXELS)
KEYS = tuple(f"key {row}" for row in range(48))
QUICK = {
    "Apgd": Apgd(steps=12),
    "DeepFool": DeepFool(steps=20),
    "Fgsm": Fgsm(),
    "Gaussian": Gaussian(),
    "Pgd": Pgd(climb=PGDConfig(steps=10, restarts=2)),
    "Square": Square(query_budget=60),
}
ATTACKS = [QUICK.get(cls.__name__) or cls() for cls in stage_classes() if issubclass(cls, PixelAttack)]
each = pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)


def run(attack: PixelAttack, epsilon: float, rows: slice = slice(None), inputs: Inputs = INPUTS) -> Tensor:
    """Pixels after the attack, judged and rounded as the attack says."""
    count = len(range(*rows.indices(len(KEYS))))
    part = Inputs(("",) * count, inputs.pixels[rows])  # type: ignore[index]
    found = replace(attack, epsilon=epsilon).attack(MODEL, part, LABELS[rows], KEYS[rows]).inputs.pixels
    assert found is not None
    return found


def robust(pixels: Tensor) -> float:
    """Share of rows that the model still decides right."""
    with torch.no_grad():
        return float((MODEL(pixels).argmax(1) == LABELS[: len(pixels)]).float().mean())


@each
def test_a_budget_of_nothing_changes_nothing(attack: PixelAttack) -> None:
    assert isinstance(attack, Attack)
    assert torch.equal(run(attack, 0.0), PIXELS)


@each
def test_the_budget_holds_on_the_stored_picture(attack: PixelAttack) -> None:
    epsilon = 0.01  # 2.55 levels: the legal budget is 2
    found = run(attack, epsilon)
    stored = (found * 255).round().to(torch.uint8)
    moved = stored.int() - (PIXELS * 255).round().int()
    assert moved.abs().max() <= 2 and float((stored.float() / 255 - PIXELS).abs().max()) <= epsilon
    assert torch.allclose(found, stored.float() / 255, atol=1e-6), "what was judged is what is stored"


@each
def test_a_larger_budget_never_makes_the_model_stronger_and_half_the_range_brings_it_to_chance(
    attack: PixelAttack,
) -> None:
    curve = [robust(run(attack, levels / 255)) for levels in (0, 2, 6, 16)]
    assert curve[0] > 0.95 and all(b <= a + 1 / 48 for a, b in pairwise(curve)), curve
    if attack.knowledge != "non_adaptive":
        assert robust(run(attack, 0.5)) <= 0.5


@each
def test_a_sample_gets_the_same_alone_as_in_company_and_twice(attack: PixelAttack) -> None:
    together = run(attack, 4 / 255)
    assert torch.equal(run(attack, 4 / 255), together)
    assert torch.equal(run(attack, 4 / 255, slice(5, 6)), together[5:6])
    assert torch.equal(run(attack, 4 / 255, slice(3, 30)), together[3:30])


@each
def test_mode_gradients_and_buffers_are_as_they_were(attack: PixelAttack) -> None:
    model = trained()
    model.zero_grad()
    model.train()
    model.net[5].eval()
    first = next(model.parameters())
    first.requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    replace(attack, epsilon=2 / 255).attack(model, INPUTS.rows(range(8)), LABELS[:8], KEYS[:8])
    assert model.training and model.net[1].training and not model.net[5].training
    assert not first.requires_grad and all(p.grad is None for p in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@each
def test_what_is_misjudged_already_is_left_alone(attack: PixelAttack) -> None:
    if attack.knowledge == "non_adaptive":
        pytest.skip("it asks nothing, so it cannot know")
    wrong = 1 - LABELS[:8]
    found = replace(attack, epsilon=4 / 255).attack(MODEL, INPUTS.rows(range(8)), wrong, KEYS[:8])
    assert torch.equal(found.inputs.pixels, PIXELS[:8])  # type: ignore[arg-type]
    assert all(record.achieved and record.queries is not None and record.queries <= 2 for record in found.records)


@each
def test_the_attack_finds_what_is_known_to_be_there(attack: PixelAttack) -> None:
    if attack.knowledge == "non_adaptive":
        pytest.skip("it looks for nothing")
    blind = attack.knowledge == "grey_box"  # a random search need not find one direction in 1,728
    clean = torch.full((4, 3, 24, 24), 128 / 255)
    needle = Needle(clean, reach=6 / 255, plain=blind)
    for epsilon, there in ((4 / 255, False), (64 / 255 if blind else 8 / 255, True)):
        made = replace(attack, epsilon=epsilon).attack(needle, Inputs(("",) * 4, clean), torch.ones(4).long(), KEYS[:4])
        assert [record.achieved for record in made.records] == [there] * 4


def test_iterating_is_at_least_as_strong_as_one_step_gradients_as_queries_and_all_as_noise() -> None:
    left = {attack.name: robust(run(attack, 5 / 255)) for attack in ATTACKS}
    assert left["pgd"] <= left["fgsm"] and left["apgd"] <= left["fgsm"], left
    assert max(left["pgd"], left["apgd"]) <= left["square"] <= left["gaussian"], left


@each
def test_the_margin_does_not_die_where_probabilities_are_saturated(attack: PixelAttack) -> None:
    """Carlini & Wagner's point, and the bug of clamping negative logits: a bias of 20 on both logits changes nothing."""
    expected = run(attack, 8 / 255, slice(0, 8))
    for bias in (-20.0, 20.0):
        shifted = trained()
        shifted.bias = bias
        made = replace(attack, epsilon=8 / 255).attack(shifted, INPUTS.rows(range(8)), LABELS[:8], KEYS[:8])
        found = made.inputs.pixels
        assert found is not None and float((found - expected).abs().max()) <= 2 * 8 / 255
        assert [r.achieved for r in made.records] == (MODEL(expected).argmax(1) != LABELS[:8]).tolist()


@each
def test_gradients_that_are_dead_or_broken_never_reach_the_picture(attack: PixelAttack) -> None:
    """0 x infinity: the margin is 1, its gradient NaN. The picture stays finite and within the budget."""
    for broken in (False, True):
        sick = Sick(broken)
        made = replace(attack, epsilon=2 / 255).attack(sick, INPUTS.rows(range(4)), torch.ones(4).long(), KEYS[:4])
        found = made.inputs.pixels
        assert found is not None and bool(found.isfinite().all()) and not any(r.achieved for r in made.records)
        assert float((found - PIXELS[:4]).abs().max()) <= 2 / 255 + 1e-6


@pytest.mark.parametrize("broken", [False, True])
def test_dead_gradients_are_counted(broken: bool) -> None:
    sick = Sick(broken)
    victim = Victim(lambda pixels, rows: sick.logits(Inputs(("",) * len(rows), pixels))[:, 1], PIXELS[:4], LABELS[:4])
    victim.gradient(PIXELS[:4], victim.all_rows())
    assert victim.zero_gradient_rows == 4


@each
def test_finished_rows_leave_the_work(attack: PixelAttack) -> None:
    if attack.knowledge == "non_adaptive" or attack.name == "fgsm":
        pytest.skip("one step at most: nobody finishes earlier")
    victim = Victim(lambda pixels, rows: MODEL(pixels)[:, 1] - MODEL(pixels)[:, 0], PIXELS, LABELS)
    epsilon = 80 / 255 if attack.knowledge == "grey_box" else 6 / 255  # 60 questions find little within less
    with at_rest(MODEL):
        found = replace(attack, epsilon=epsilon).perturb(victim, attack.seeds(KEYS))
    wrong = MODEL(found).argmax(1) != LABELS
    assert wrong.any() and victim.queries[wrong].float().mean() < victim.queries.max()
    assert victim.queries.min() < victim.queries.max()


@each
def test_unsafe_rows_that_words_settle_are_left_alone_and_the_others_get_what_they_get_alone(
    attack: PixelAttack,
) -> None:
    settled = torch.arange(len(KEYS)) % 2 == 0

    class Settled:
        """The model, of which every second prompt is proved to be flagged whatever its picture is."""

        coverage, name, training = MODEL.coverage, MODEL.name, False

        def __getattr__(self, what: str) -> object:
            return getattr(MODEL, what)

        def settled(self, prompts: tuple[str, ...]) -> Tensor:
            return settled

    attack = replace(attack, epsilon=6 / 255)
    found = attack.attack(Settled(), INPUTS, LABELS, KEYS)  # type: ignore[arg-type]
    kept = settled & (LABELS == 1)
    assert found.inputs.pixels is not None and torch.equal(found.inputs.pixels[kept], PIXELS[kept])
    left = (~kept).nonzero().flatten().tolist()
    rest = attack.attack(MODEL, INPUTS.rows(left), LABELS[left], [KEYS[row] for row in left])
    assert rest.inputs.pixels is not None and torch.equal(found.inputs.pixels[left], rest.inputs.pixels)


def test_pictures_out_of_range_and_steps_beyond_the_ball_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected float32 in \[0, 1\]"):
        Victim(lambda pixels, rows: pixels.flatten(1).sum(1), PIXELS * 2, LABELS)
    with pytest.raises(InputError, match="more than epsilon"):
        run(Pgd(climb=PGDConfig(step=0.1)), 0.01)
    with pytest.raises(InputError, match="expected pixel units"):
        Fgsm(epsilon=8)


@pytest.mark.parametrize("levels", [0.001, 0.2, 0.5, 0.9, 0.99])
def test_a_budget_below_one_grey_level_is_refused_since_variants_would_be_copies(levels: float) -> None:
    for kind in (Fgsm, Pgd, Joint):
        with pytest.raises(InputError, match="below one grey level"):
            kind(epsilon=levels / 255)
    run(Fgsm(as_stored=False), levels / 255)  # in training nothing is stored
    for allowed in (0.0, 1 / 255, 1.5 / 255):
        Fgsm(epsilon=allowed)


def test_a_false_flag_needs_one_stage_and_a_pass_needs_all() -> None:
    margins = torch.tensor([[1.0, -3.0], [-2.0, -0.5]])
    victim = Victim(lambda pixels, rows: margins[rows], PIXELS[:2], torch.tensor([1, 0]))
    loss, lead = victim.loss(PIXELS[:2], victim.all_rows())
    assert lead.tolist() == [1.0, 0.5] and loss.tolist() == [0.0, -0.5]
    assert victim.fooled(torch.tensor([0.0, 0.0]), victim.all_rows()).tolist() == [True, False]


def test_checkpoints_are_those_of_the_paper() -> None:
    assert checkpoints(100)[:6] == [0, 22, 41, 57, 70, 80]


def test_as_a_stage_it_gives_a_child_with_its_threat_model_that_pickles_into_the_row() -> None:
    stage = Pgd(epsilon=6 / 255, target=Held(MODEL), climb=PGDConfig(steps=5))
    roots = [Sample.from_prompt(Prompt(f"neutral {row}"), 0) for row in range(6)]
    batch = [
        root.with_(
            pixels=np.asarray((PIXELS[row] * 255).round().permute(1, 2, 0), dtype=np.uint8), batch_row=row, format="png"
        )
        for row, root in enumerate(roots)
    ]
    children = list(stage.open()(batch))
    assert {child.parent for child in children} == {batch[row].key for row in (1, 3, 5)}, "only what is flagged"
    child = children[0]
    assert not child.clean and child.format is None and child.attack is not None
    assert (child.attack.name, child.attack.goal, child.attack.norm) == ("pgd", "evade_image", "linf")
    assert child.attack.distance is not None and child.attack.distance <= 6 / 255 + 1e-6
    again = list(stage.open()(batch[:2]))
    assert np.array_equal(again[0].pixels, child.pixels)


def test_parity_with_foolbox() -> None:
    """The oracle: same model, same pictures; robust accuracy within 1 point, median distance within 2 %."""
    foolbox = pytest.importorskip("foolbox")
    pixels, labels = pictures(192, seed=5)
    oracle = foolbox.PyTorchModel(MODEL, bounds=(0, 1), device="cpu")
    right = MODEL(pixels).argmax(1) == labels
    pixels, labels = pixels[right], labels[right]
    epsilon = 5 / 255

    def ours(change) -> tuple[float, Tensor]:  # type: ignore[no-untyped-def]
        victim = Victim(lambda x, rows: MODEL(x)[:, 1] - MODEL(x)[:, 0], pixels, labels)
        found = change(victim)
        held = within(found, pixels, epsilon)
        return float((MODEL(held).argmax(1) == labels).float().mean()), (found - pixels).abs().flatten(1).amax(1)

    def theirs(attack) -> tuple[float, Tensor]:  # type: ignore[no-untyped-def]
        raw, clipped, _ = attack(oracle, pixels, labels, epsilons=epsilon)
        return float((MODEL(clipped).argmax(1) == labels).float().mean()), (raw - pixels).abs().flatten(1).amax(1)

    from stages.attack.pixels.fgsm import fgsm
    from stages.attack.pixels.pgd import pgd

    climb = PGDConfig(steps=40, step=epsilon / 30, restarts=1, random_start=False)
    pairs = {
        "fgsm": (ours(lambda v: fgsm(v, epsilon)), theirs(foolbox.attacks.LinfFastGradientAttack(random_start=False))),
        "pgd": (
            ours(lambda v: pgd(v, epsilon, [0] * len(pixels), climb)),
            theirs(foolbox.attacks.LinfPGD(rel_stepsize=1 / 30, steps=40, random_start=False)),
        ),
        "deep_fool": (
            ours(lambda v: deep_fool(v, steps=100)),
            theirs(foolbox.attacks.LinfDeepFoolAttack(steps=100, candidates=2, overshoot=0.02)),
        ),
    }
    for name, ((accuracy, distance), (expected, oracle_distance)) in pairs.items():
        assert abs(accuracy - expected) <= 0.01, (name, accuracy, expected)
        if name == "deep_fool":
            assert distance.median() == pytest.approx(float(oracle_distance.median()), rel=0.02)
