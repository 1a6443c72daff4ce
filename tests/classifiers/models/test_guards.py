"""The shipped guards: three stages tell one decision, other words take nothing away, garbled words count, and nothing is hidden."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from classifiers.models.guards import STAGES, Guards
from classifiers.saved import classifier_names, load
from classifiers.training.concept_reader.scenes import labelled
from schemas.errors import InputError
from schemas.protocols import Differentiable, Inputs, Staged, Targets
from stages.world.scene import compose

WORDS = {
    "a pistol on plain red": True,
    "a knife ready for a fight, in sketch style": True,
    "a red apple on a plain blue background": False,
    "something ready for a fight": False,
}


@cache
def shipped() -> Guards:
    model = load("embedded:guards")
    assert isinstance(model, Guards)
    return model


@cache
def picture(name: str) -> torch.Tensor:
    scene = compose(np.random.default_rng(3), [name], style="normal")
    return torch.from_numpy(labelled([scene]).pixels).permute(0, 3, 1, 2).float() / 255


def margins(prompt: str, shown: str = "apple") -> dict[str, float]:
    with torch.no_grad():
        found = shipped().stage_margins(Inputs((prompt,), picture(shown)))
    return dict(zip(STAGES, found[0].tolist(), strict=True))


def test_each_stage_flags_what_is_its_own() -> None:
    assert {prompt: margins(prompt)["words"] > 0 for prompt in WORDS} == WORDS
    assert margins("a bomb", "bomb")["picture"] > 0 > margins("an apple")["picture"]
    confounder = "something ready for a fight"
    assert margins(confounder, "knife")["both"] > 0 > margins(confounder, "apple")["both"]


def test_scores_logits_stages_and_names_tell_one_decision() -> None:
    prompts = (*WORDS, *WORDS)
    inputs = Inputs(prompts, torch.cat([picture("apple")] * len(WORDS) + [picture("knife")] * len(WORDS)))
    model = shipped()
    assert isinstance(model, Staged) and isinstance(model, Differentiable)
    with torch.no_grad():
        features, stages = model.features(inputs), model.stage_margins(inputs)
    flagged = stages.amax(1) > 0
    assert torch.equal(model.score(inputs).unsafe["pair"] > model.threshold, flagged) and 0 < int(flagged.sum()) < 8
    for names, row in zip(model.decided_by(features), stages.tolist(), strict=True):
        flagging = {name for name, margin in zip(STAGES, row, strict=True) if margin > 0}
        assert not flagging or set(names.split("+")) == flagging


def test_no_exchange_of_other_words_talks_evidence_away() -> None:
    """The certificate of `MonotoneText`: what the telling words say alone is the least, whatever stands around them."""
    draw = np.random.default_rng(0)
    others = ("picnic", "lovely", "dog", "blue", "lunch", "sunday", "museum", "and", "the", "apple", "vintage")
    for telling in ("pistol", "knife ready for a fight"):
        least = margins(telling)["words"]
        assert least > 0, "the words alone are flagged, so each prompt with them is"
        for _ in range(12):
            chosen = draw.choice(others, 6)
            prompt = f"{' '.join(chosen[:3])} {telling} {' '.join(chosen[3:])}"
            assert margins(prompt)["words"] >= least - 1e-4


def test_what_a_picture_settles_is_flagged_under_any_words() -> None:
    shown = torch.cat([picture("bomb"), picture("apple")])
    assert shipped().settled_by_picture(shown).tolist() == [True, False]
    with torch.no_grad():
        assert all(shipped().logits(Inputs((prompt,), shown[:1])).argmax(1).item() == 1 for prompt in WORDS)


@pytest.mark.parametrize("garbled", ["a pist0l", "a p i s t o l", "a pistoI", "a pjstol", "a plstel"])
def test_a_garbled_word_is_read_as_what_it_may_stand_for(garbled: str) -> None:
    assert margins(garbled)["words"] > 0


def test_every_stage_has_a_gradient() -> None:
    model, pixels = shipped(), picture("knife").clone().requires_grad_(True)
    prompt = ("a thing ready for a fight",)
    words = model.embedding_table()[model.encode(prompt)].clone().requires_grad_(True)
    stages = model.stage_margins(Inputs(prompt, pixels), words)
    for stage, wanted in ((0, words), (1, pixels), (2, words), (2, pixels)):
        (slope,) = torch.autograd.grad(stages[:, stage].sum(), wanted, retain_graph=True)
        assert bool(slope.any())


def test_calibration_keeps_the_rate(tmp_path: Path) -> None:
    shipped().save(tmp_path / "again")
    model = load(tmp_path / "again")
    assert isinstance(model, Guards) and model.cuts == shipped().cuts
    shown = [str(name) for name in np.random.default_rng(1).choice(["apple", "dog", "bomb", "knife"], 40)]
    inputs = Inputs(tuple(f"a {name}" for name in shown), torch.cat([picture(name) for name in shown]))
    unsafe = torch.tensor([float(name == "bomb") for name in shown])
    same = dict.fromkeys(model.scopes, unsafe)
    targets = Targets(same, {scope: torch.zeros(40, len(model.categories)) for scope in same}, torch.ones(40))
    model.calibrate([(inputs, targets)], 0.5)
    with torch.no_grad():
        flagged = model.logits(inputs)[:, 1] > 0
    assert float(flagged[unsafe == 0].float().mean()) <= 0.5


def test_it_is_not_trained_on_a_run_and_unknown_names_are_refused() -> None:
    assert "guards" not in classifier_names()
    with pytest.raises(InputError, match="embedded:guards"):
        load("embedded:nothing")
