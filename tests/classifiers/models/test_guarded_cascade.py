"""The guarded cascade: either guard flags by itself, other words take nothing away, and the rate is kept."""

from functools import cache
from pathlib import Path

import pytest
import torch

from classifiers.layers.concept_reader import ConceptNet, ReaderConfig, Rule
from classifiers.models.guarded_cascade import SILENT_CUT, GuardedCascade
from classifiers.saved import load
from schemas.protocols import Inputs, Staged, Targets, Trainable
from stages.world.purposes import BY_PURPOSE
from tests.support.small_squares import square_rows, trained_on_square

FIGHT = BY_PURPOSE["fight"].phrases


def network() -> ConceptNet:
    torch.manual_seed(3)
    rules = (Rule("violence", ("knife",)), Rule("spam", ("dice", "apple")))
    return ConceptNet(ReaderConfig(("knife", "dice", "apple"), rules, 8, (8, 16, 16), (1, 1, 1))).eval()


@cache
def learnt() -> GuardedCascade:
    """The trained square with guards; evidence has learnt that "fight" in words is unsafe, whatever is shown."""
    square = trained_on_square()
    model = GuardedCascade(square.encoder, square.categories, "guarded", network=network())
    model.load_state_dict(square.state_dict(), strict=False)
    model.threshold, model.obvious_unsafe, model.obvious_safe = square.threshold, 9.0, -9.0
    prompts, labels = words_of_square()
    with torch.no_grad():
        features = model.features(Inputs(prompts, torch.zeros(len(prompts), 3, 64, 64)))
    optimiser = torch.optim.AdamW(model.evidence.parameters(), 5e-3)
    for _ in range(80):
        optimiser.zero_grad()
        told = model.guards(features)[:, 1]
        torch.nn.functional.binary_cross_entropy_with_logits(told, labels).backward()
        optimiser.step()
    model.cuts = (SILENT_CUT, 0.0)
    return model.eval()


def words_of_square() -> tuple[tuple[str, ...], torch.Tensor]:
    colours = ("red", "blue", "green", "white")
    openings = ("", *(f"a {colour} thing" for colour in colours))
    unsafe = [f"{opening} {phrase}" for opening in openings for phrase in FIGHT]
    safe = [f"{opening} {phrase}" for opening in openings for phrase in BY_PURPOSE["picnic"].phrases]
    return (*unsafe, *safe), torch.tensor([1.0] * len(unsafe) + [0.0] * len(safe))


def with_cuts(reader: float, evidence: float) -> GuardedCascade:
    model = learnt()
    other = GuardedCascade(model.encoder, model.categories, "guarded", network=network())
    other.load_state_dict(model.state_dict())
    other.threshold, other.obvious_unsafe, other.obvious_safe = model.threshold, 9.0, -9.0
    other.cuts = (reader, evidence)
    return other.eval()


def middle(model: GuardedCascade, inputs: Inputs) -> list[float]:
    with torch.no_grad():
        guards = model.guards(model.features(inputs))
    return [float(each) + 1e-4 for each in guards.median(dim=0).values]


def test_it_is_the_cascade_while_the_guards_are_silent() -> None:
    inputs, _ = square_rows(3, seed=5)
    silent, square = with_cuts(SILENT_CUT, SILENT_CUT), trained_on_square()
    square_like = with_cuts(SILENT_CUT, SILENT_CUT)
    square_like.obvious_unsafe, square_like.obvious_safe = square.obvious_unsafe, square.obvious_safe
    assert torch.allclose(square_like.logits(inputs), square.logits(inputs), atol=1e-5)
    assert isinstance(silent, Staged) and isinstance(silent, Trainable)


def test_scores_logits_stages_and_names_tell_one_decision() -> None:
    inputs, _ = square_rows(4, seed=6)
    reader, evidence = middle(learnt(), inputs)
    for cuts in ((SILENT_CUT, SILENT_CUT), (reader, SILENT_CUT), (SILENT_CUT, evidence), (reader, evidence)):
        model = with_cuts(*cuts)
        with torch.no_grad():
            features = model.features(inputs)
            flagged = model.margin_of(features) > 0
            stages = model.stage_margins(inputs)
        assert torch.equal(model.score(inputs).unsafe["pair"] > model.threshold, flagged)
        assert stages.shape == (len(inputs), 5) and bool(flagged[(stages[:, 3:] > 0).any(dim=1)].all())
        assert not bool(flagged[(stages <= 0).all(dim=1)].any())
        for name, row in zip(model.decided_by(features), stages[:, 3:].tolist(), strict=True):
            assert ("reader" in name, "evidence" in name) == (row[0] > 0, row[1] > 0)
        assert bool((stages[:, 3:] > 0).any()) == (cuts != (SILENT_CUT, SILENT_CUT))


def test_no_exchange_of_other_words_talks_evidence_away() -> None:
    """Four of the other words exchanged at random, any number put in: what the phrase alone tells is the least."""
    model, draw = learnt(), torch.Generator().manual_seed(0)
    pixels = torch.zeros(1, 3, 64, 64)
    others = ("picnic", "lovely", "dog", "blue", "lunch", "sunday", "museum", "and", "the", "apple")

    def told(prompt: str) -> float:
        with torch.no_grad():
            return float(model.guards(model.features(Inputs((prompt,), pixels)))[0, 1])

    for phrase in FIGHT:
        certified = told(phrase)
        assert certified > 0, "the phrase alone is flagged, so each prompt with it is"
        for _ in range(15):
            chosen = [others[int(i)] for i in torch.randint(len(others), (6,), generator=draw)]
            assert told(f"{' '.join(chosen[:3])} {phrase} {' '.join(chosen[3:])}") >= certified - 1e-4


def test_every_stage_has_a_gradient_in_pixels_or_words() -> None:
    model, (inputs, _) = learnt(), square_rows(1, seed=7)
    pixels = inputs.pixels.clone().requires_grad_(True)  # type: ignore[union-attr]
    words = model.embedding_table()[model.encode(inputs.prompts)].clone().requires_grad_(True)
    margins = model.stage_margins(Inputs(inputs.prompts, pixels), words)
    for stage, of_pixels in ((3, True), (4, False)):
        (slope,) = torch.autograd.grad(margins[:, stage].sum(), pixels if of_pixels else words, retain_graph=True)
        assert bool(slope.flatten(1).any(dim=1).all())


def test_the_rate_of_false_positives_is_kept_by_all_stages_together() -> None:
    model, (inputs, targets) = with_cuts(0.0, 0.0), square_rows(10, seed=8)
    for rate in (0.1, 0.25, 0.5):
        model.calibrate(
            [(inputs.rows(range(0, 20)), _rows(targets, 0, 20)), (inputs.rows(range(20, 40)), _rows(targets, 20, 40))],
            rate,
        )
        flagged = model.score(inputs).unsafe["pair"] > model.threshold
        assert float(flagged[targets.unsafe["pair"] == 0].float().mean()) <= rate + 1e-6
    model.least_cut = 11.0
    model.calibrate([(inputs, targets)], 0.25)
    assert model.cuts[0] == 11.0, "the cut of its own training, on attacked pictures, is the least"


def _rows(targets: Targets, first: int, last: int) -> Targets:
    def of(columns):  # type: ignore[no-untyped-def]
        return {scope: value[first:last] for scope, value in columns.items()}

    return Targets(of(targets.unsafe), of(targets.categories), targets.weights[first:last])


def test_a_picture_that_is_unsafe_by_itself_teaches_words_nothing() -> None:
    model, (inputs, targets) = with_cuts(0.0, 0.0), square_rows(1, seed=9)
    shown = Targets(
        {**targets.unsafe, "image": torch.ones(4), "pair": torch.ones(4)}, targets.categories, targets.weights
    )
    losses = model.losses(inputs, shown)
    assert float(losses["pair_by_evidence"].detach()) == 0
    told = model.losses(inputs, Targets({**shown.unsafe, "prompt": torch.ones(4)}, shown.categories, shown.weights))
    assert float(told["pair_by_evidence"].detach()) > 0


def test_the_reader_keeps_its_norms_and_weights_while_the_rest_is_trained() -> None:
    model, (inputs, targets) = with_cuts(0.0, 0.0), square_rows(1, seed=10)
    before = {name: value.clone() for name, value in model.reader.state_dict().items()}
    model.train()
    model.losses(inputs, targets)["loss"].backward()
    assert all(parameter.grad is None for parameter in model.reader.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.reader.state_dict().items())
    assert all(parameter.grad is not None for parameter in model.evidence.parameters())


@pytest.mark.parametrize("cuts", [(1.5, -2.5)])
def test_what_was_saved_comes_back(tmp_path: Path, cuts: tuple[float, float]) -> None:
    model, (inputs, _) = with_cuts(*cuts), square_rows(1, seed=11)
    model.save(tmp_path / "guarded")
    again = load(tmp_path / "guarded")
    assert isinstance(again, GuardedCascade) and again.cuts == cuts
    assert torch.allclose(again.stage_margins(inputs), model.stage_margins(inputs), atol=1e-5)
