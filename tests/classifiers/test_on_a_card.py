"""Whatever judges, trains or attacks works where its weights lie: no tensor of it is left on the CPU (`pretend_card`)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from classifiers.layers.encoder import ClipEncoder
from classifiers.saved import Saved, load
from classifiers.training.train import train  # noqa: F401  # imported before the card is there, as a process does
from classifiers.unsafebench.dataset.images import REAL, Picture
from classifiers.unsafebench.judges.fitted_zoo import world_zoo
from classifiers.unsafebench.judges.predictions import judge
from classifiers.vlm.instruct_blip import InstructBlip
from classifiers.vlm.llava import Llava
from pipeline.storage.weights import REPOSITORY, model_directory
from pipeline.training.process_group import ProcessGroup
from schemas.prompt import Prompt
from schemas.protocols import Inputs
from schemas.sample import Sample
from stages.attack.pixels.apgd import Apgd
from stages.attack.pixels.deep_fool import DeepFool
from stages.attack.pixels.gaussian import Gaussian
from stages.attack.pixels.pgd import Pgd
from stages.attack.text.token_substitution import TokenSubstitution
from stages.label.tagger_truth import TaggerTruth
from stages.signature.embedding import Embedding
from tests.support import tiny_models
from tests.support.pretend_card import CARD, pretend_card

TEXTS = ("a knife ready for a fight", "a red apple")
SHELF = REPOSITORY / "assets" / "world" / "defence"
GREY = np.full((64, 64, 3), 99, np.uint8)


def batch() -> list[Sample]:
    made = [Sample.from_prompt(Prompt(text), 0) for text in TEXTS]
    return [sample.with_(pixels=GREY, batch_row=row) for row, sample in enumerate(made)]


def test_the_pretended_card_refuses_what_a_card_refuses() -> None:
    with pretend_card() as card:
        layer, rows = torch.nn.Linear(4, 2).to(card), torch.randn(3, 4)
        with pytest.raises(RuntimeError, match="expected on one device"):
            layer(rows)
        made = layer(rows.to(card))
        with pytest.raises(TypeError, match="copy it to the CPU first"):
            made.detach().numpy()
        made.sum().backward()
        assert layer.weight.grad is not None and layer.weight.grad.device == made.device == CARD
        assert made.cpu().device.type == "cpu" and made[[0, 2]].shape == (2, 2)


@pytest.mark.parametrize("name", ["guards", "late_fusion", "cascade"])
def test_a_shipped_classifier_scores_and_predicts_on_a_card(name: str, tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "grey.png")
    with pretend_card() as card:
        model = load(f"embedded:{name}")
        scores = model.score(Inputs(TEXTS, torch.rand(2, 3, 64, 64).to(card)))
        assert all(value.device == CARD for value in scores.unsafe.values())
        assert len(model.predict([TEXTS[0]], [str(tmp_path / "grey.png")]).flagged) == 1


@pytest.mark.parametrize(
    "attack",
    [
        Pgd,
        Apgd,
        Gaussian,
        pytest.param(DeepFool, marks=pytest.mark.slow),
        pytest.param(TokenSubstitution, marks=pytest.mark.slow),
    ],
)
def test_an_attack_asks_its_target_on_a_card(attack: Callable[..., Any]) -> None:
    with pretend_card():
        stage = attack(target=Saved(str(SHELF / "late_fusion")), batch_size=2)
        assert 1 <= len(list(stage.open()(batch()))) <= 2


@pytest.mark.parametrize("stage", [TaggerTruth, Embedding])
def test_a_stage_with_a_model_works_on_a_card(stage: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from stages.label import device

    device.device.cache_clear()
    with pretend_card():
        assert len(list(stage(batch_size=2).open()(batch()))) == 2
    device.device.cache_clear()


@pytest.mark.parametrize(("kind", "made"), [(Llava, "llava"), (InstructBlip, "instruct_blip")])
def test_a_vision_language_model_is_loaded_onto_the_card(kind: Any, made: str, tmp_path: Path) -> None:
    folder = getattr(tiny_models, made)(tmp_path / "model")
    with pretend_card() as card:
        model = kind.from_directory(folder)
        assert {each.device for each in (*model.parameters(), model.mean, model.std)} == {CARD}
        assert model.normalised(torch.rand(1, 3, 32, 32).to(card)).dtype == torch.bfloat16


@pytest.mark.slow
def test_the_zoo_is_fitted_and_judges_on_a_card() -> None:
    with pretend_card() as card:
        encoder = ClipEncoder.from_directory(model_directory("assets/world/clip")).to(card)
        pictures = [Picture(str(index), GREY, REAL, "violence", bool(index % 2)) for index in range(4)]
        for one in world_zoo(encoder, 64, count=64):
            rows, _ = judge(one, pictures, 64)
            assert len(rows) == 4 and all(0 <= row["score"] <= 1 for row in rows), one.name


def test_a_training_in_this_process_takes_the_accelerator() -> None:
    with pretend_card():
        assert ProcessGroup.alone().device == CARD
    assert ProcessGroup.alone().device.type == "cpu"
